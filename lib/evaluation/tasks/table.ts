import { RND1Error } from '../../support/errors';
import { nearest, quote } from '../../support/validate';
import { arcChallenge } from './arc-challenge';
import { bbhTask } from './bbh';
import { bbhParts } from './bbh-parts';
import type { FixedExamples, TaskDefinition } from './definition';
import { gsm8k, gsm8kCotTask } from './gsm8k';
import { mbppTask } from './mbpp';
import { mmluTask } from './mmlu';
import { mmluGroups } from './mmlu-subjects';
import { nanoTasks } from './nano';
import { raceTask } from './race';

/** Tasks that are scored together: the mean over all their documents. */
export interface TaskGroup {
  readonly name: string;
  /** Name in tables. */
  readonly alias: string;
  readonly version: number;
  /** What the harness lists as its members: groups or tasks. */
  readonly members: readonly string[];
  /** All tasks below it, in order. */
  readonly tasks: readonly string[];
}

/** What a definition is made of. */
export interface Making {
  /** The version asked for. */
  readonly version?: number | undefined;
  /** The number of examples asked for. */
  readonly shots?: number | undefined;
  /** The fixed examples that there are. */
  readonly examples?: FixedExamples | undefined;
}

interface Entry {
  readonly versions: readonly number[];
  readonly make: (making: Making, name: string) => TaskDefinition;
}

const mmluTasks = Object.values(mmluGroups).flat();

/** Fixed examples, which must be there unless the prompt needs nothing of them, and the version. */
function fixed(name: string, { version, shots, examples }: Making, { described }: { described: boolean }) {
  if (examples === undefined && (described || shots !== 0)) {
    throw new RND1Error(
      'invalid_data',
      `${name} needs the fixed examples of its task file: prompts must name a folder of the harness's task files; rnd1 eval --download fetches it`,
    );
  }
  if (version !== undefined && examples?.version !== undefined && examples.version !== version) {
    throw new RND1Error(
      'invalid_data',
      `the task files hold version ${examples.version} of ${name}, not version ${version}`,
    );
  }
  return examples ?? { samples: [] };
}

/** Every task by its name. */
const entries: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  ...mmluTasks.map(
    (subject) => [`mmlu_${subject}`, { versions: [1], make: () => mmluTask(subject) }] as const,
  ),
  ['arc_challenge', { versions: [1], make: () => arcChallenge }],
  ['race', { versions: [2, 3], make: ({ version = 3 }) => raceTask(version === 2 ? 2 : 3) }],
  ...bbhParts.map((part): [string, Entry] => [
    `bbh_cot_fewshot_${part}`,
    {
      versions: [3, 4],
      make(making, name) {
        const examples = fixed(name, making, { described: true });
        return bbhTask(part, making.version ?? examples.version ?? 4, examples);
      },
    },
  ]),
  ['gsm8k', { versions: [3], make: () => gsm8k }],
  [
    'gsm8k_cot',
    { versions: [3], make: (making, name) => gsm8kCotTask(fixed(name, making, { described: false })) },
  ],
  ['mbpp', { versions: [1], make: (making, name) => mbppTask(fixed(name, making, { described: false })) }],
  ...nanoTasks.map((task): [string, Entry] => [task.name, { versions: [task.version], make: () => task }]),
]);

function nanoGroup(): TaskGroup {
  const tasks = nanoTasks.map(({ name }) => name);
  return { name: 'nano', alias: 'nano', version: 1, members: tasks, tasks };
}

/** Every group by its name, those inside others first. */
export const taskGroups: ReadonlyMap<string, TaskGroup> = new Map(
  [
    ...Object.entries(mmluGroups).map(([group, subjects]) => {
      const tasks = subjects.map((subject) => `mmlu_${subject}`);
      return { name: `mmlu_${group}`, alias: group.replaceAll('_', ' '), version: 2, members: tasks, tasks };
    }),
    {
      name: 'mmlu',
      alias: 'mmlu',
      version: 2,
      members: Object.keys(mmluGroups).map((group) => `mmlu_${group}`),
      tasks: mmluTasks.map((subject) => `mmlu_${subject}`),
    },
    ...['bbh_cot_fewshot', 'bbh'].map((name) => {
      const tasks = bbhParts.map((part) => `bbh_cot_fewshot_${part}`);
      return { name, alias: name, version: 3, members: tasks, tasks };
    }),
    nanoGroup(),
  ].map((group) => [group.name, group]),
);

/** The names that `buildRequests` knows: of tasks, of groups, and older versions as `NAME-vN`. */
export const taskNames: readonly string[] = [...entries.keys(), ...taskGroups.keys(), 'race-v2', 'bbh-v3'];

/** What a name stands for. */
export interface NamedTasks {
  /** Name without a version behind it. */
  readonly name: string;
  readonly version: number | undefined;
  readonly group: TaskGroup | undefined;
  /** Names of tasks, one for a task. */
  readonly tasks: readonly string[];
}

/** @throws RangeError for an unknown name or version */
export function namedTasks(given: string, version?: number): NamedTasks {
  const suffix = /^(.+)-v(\d+)$/.exec(given);
  const name = suffix?.[1] ?? given;
  const asked = suffix === null ? version : Number(suffix[2]);
  if (version !== undefined && asked !== version)
    throw new RangeError(`version is ${version}, but the task is ${quote(given)}`);
  const group = taskGroups.get(name);
  const tasks = group?.tasks ?? (entries.has(name) ? [name] : []);
  if (tasks.length === 0) {
    const meant = nearest(name, taskNames);
    throw new RangeError(
      `there is no task ${quote(given)}${meant === null ? '' : `; did you mean ${quote(meant)}?`}`,
    );
  }
  const { versions } = entries.get(tasks[0] as string) as Entry;
  if (asked !== undefined && !versions.includes(asked))
    throw new RangeError(`${name} has the versions ${versions.join(' and ')}, not ${asked}`);
  return { name, version: asked, group, tasks };
}

/** The definition of a task. @throws RND1Error `invalid_data` if it lacks examples, or those are of another version */
export function taskNamed(name: string, making: Making): TaskDefinition {
  const entry = entries.get(name);
  if (entry === undefined) throw new RangeError(`there is no task ${quote(name)}`);
  return entry.make(making, name);
}

/** How a task is scored, which its examples have no part in. */
export const scoringOf = (name: string): TaskDefinition => taskNamed(name, { examples: { samples: [] } });
