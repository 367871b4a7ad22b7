import { join } from 'node:path';
import { completions } from '../../../lib/cli/completion';
import { createProgram } from '../../../lib/cli/program';
import { scheduleTable } from '../../../lib/denoising/schedule-table';
import { rnd1, root, start } from './rnd1';

const complete = (line: string) => completions(createProgram(), line);

describe('words that may follow', () => {
  test('are commands first', () => {
    expect(complete('rnd1 ')).toEqual(
      expect.arrayContaining(['generate', 'infill', 'fill', 'serve', 'inspect', 'completion', 'help']),
    );
    expect(complete('rnd1 ')).not.toContain('complete');
    expect(complete('rnd1 in')).toEqual(['infill', 'inspect', 'init']);
    expect(complete('rnd1 help q')).toEqual(['quantize']);
    expect(complete('rnd1 --v')).toEqual(['--version']);
  });

  test('are the options of the command, each once', () => {
    expect(complete('rnd1 generate --te')).toEqual(['--temperature']);
    expect(complete('rnd1 generate --schedule entropy --sche')).toEqual([]);
    expect(complete('rnd1 serve --te')).toEqual([]);
    for (const command of createProgram().commands) {
      if (command.name() === 'complete') continue;
      const all = complete(`rnd1 ${command.name()} --`);
      for (const { long } of command.options) expect(all).toContain(long);
    }
  });

  test('are the words of an option', () => {
    for (const { type } of scheduleTable)
      expect(complete('rnd1 generate --schedule ').join(' ')).toContain(type);
    expect(complete('rnd1 generate x --schedule entropy-b')).toEqual(['entropy-bounded=0.01']);
    expect(complete('rnd1 generate --dtype=q')).toEqual([
      '--dtype=q8',
      '--dtype=q5m',
      '--dtype=q5',
      '--dtype=q4m',
      '--dtype=q4',
    ]);
    expect(complete('rnd1 inspect --device c')).toEqual(['cpu', 'cuda', 'cuda:0']);
    expect(complete('rnd1 inspect --device a')).toEqual(['auto']);
    expect(complete('rnd1 train --device ')).toEqual(['cpu', 'cuda', 'cuda:0']);
    expect(complete('rnd1 quantize a b --dtype ')).toEqual(['q8', 'q5m', 'q5', 'q4m', 'q4', 'fp8']);
    expect(complete('rnd1 serve --log-level d')).toEqual(['debug']);
    expect(complete('rnd1 completion ')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('are none where anything may stand', () => {
    for (const line of ['rnd1 generate ', 'rnd1 generate --model ', 'rnd1 nothing --', 'rnd1 fill -- --'])
      expect(complete(line)).toEqual([]);
    expect(complete(`rnd1 generate 'a text --dtype `)).toEqual([]);
    expect(complete(`rnd1 generate 'a text' --dtype b`)).toEqual(['bf16']);
    expect(complete('rnd1 generate a\\ --dtype b')).toEqual([]);
  });
});

/** Completions that bash offers when Tab is pressed at the end of a line. */
async function inBash(line: string): Promise<string[]> {
  const script = `
    PATH="$1:$PATH"
    eval "$(rnd1 completion bash)"
    COMP_LINE=$2 COMP_POINT=\${#2}
    # Readline cuts at = and : as well as at spaces.
    IFS=$'\\n' read -r -d '' -a COMP_WORDS < <(sed -E 's/[[:space:]]+/\\n/g; s/([=:])/\\n\\1\\n/g' <<<"$2")
    case $2 in *[=:\\ ]) COMP_WORDS+=('') ;; esac
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    _rnd1 rnd1
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await start('bash', ['-c', script, 'bash', root, line], { cwd: '/' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.split('\n').filter((word) => word !== '');
}

test('in bash words that hold = and : are completed from where bash cuts them', async () => {
  expect(await inBash('rnd1 gen')).toEqual(['generate']);
  expect(await inBash('rnd1 generate --dtype ')).toEqual([
    'auto',
    'f32',
    'f16',
    'bf16',
    'q8',
    'q5m',
    'q5',
    'q4m',
    'q4',
    'fp8',
  ]);
  expect(await inBash('rnd1 generate --schedule entropy-bounded=0')).toEqual(['0.01']);
  expect(await inBash('rnd1 generate --schedule threshold=')).toEqual(['0.9']);
  expect(await inBash('rnd1 generate --device cuda:')).toEqual(['0']);
  expect(await inBash('rnd1 generate ')).toEqual([]);
});

test.each(['bash', 'zsh', 'fish'])('the script for %s asks the program that is typed', async (shell) => {
  const { code, stdout, stderr } = await rnd1(['completion', shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(' complete -- ');
  expect(stdout).not.toContain(join(root, 'dist'));
  expect((await rnd1(['completion', 'csh'])).code).toBe(2);
});
