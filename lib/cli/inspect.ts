import type { Command } from 'commander';
import { type Checkpoint, readCheckpoint } from '../checkpoint/folder';
import { reportOf } from '../checkpoint/inspect';
import { downloadCheckpoint, embeddedFolder, RND1Error, system } from '../index';
import { firstThatHolds } from '../runtime/device';
import { planLoad } from '../runtime/load-plan';
import { defaultThreads } from '../runtime/threads';
import { printableJson, printableName } from '../support/printable';
import { forcedInstructionSet } from './environment';
import { UsageError } from './input';
import { cappedThreads, isOnHub, say, seconds, sourceOf, warnOf } from './loading';
import { addModelOptions, hubOf, type ModelFlags } from './options';
import { Waiting } from './progress';
import { type DevicePlan, formatReport, type Problem, reportObject } from './report';

interface InspectFlags extends ModelFlags {
  readonly tensors?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const manual = `
Active parameters are those that take part in the computation of one token: of
the experts only as many as each token is routed to. Tensors that the model does
not need are ignored, and listed. Only headers and configuration are read, and
nothing is fetched: a model of the Hugging Face hub must be in the cache
(\`rnd1 download\`).

Exit codes: 0 done, 1 failure, 2 wrong usage.

Examples:
  $ rnd1 inspect
  $ rnd1 inspect models/nano --tensors
  $ rnd1 inspect models/nano --json`;

/** `rnd1 inspect` */
export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .summary('describe a checkpoint, and where it would run')
    .description(
      'Describes a checkpoint without loading it: sizes, tensors, parameters, bytes, and the device and instruction set that it would run on.',
    )
    .argument(
      '[model]',
      'folder of the checkpoint, a GGUF file, or a name on the hub (default: the embedded nano model)',
    );
  addModelOptions(command)
    .optionsGroup('Output:')
    .option('--tensors', 'list every tensor, instead of a summary')
    .option('--json', 'one JSON object')
    .option('--verbose', 'print to standard error the folder of the checkpoint, and how long reading it took')
    .addHelpText('after', manual)
    .action(inspect);
}

async function inspect(folder: string | undefined, flags: InspectFlags): Promise<void> {
  if (folder !== undefined && flags.model !== undefined) {
    throw new UsageError('the model is given twice: as an argument and as --model');
  }
  const place = folder ?? flags.model;
  const waiting = new Waiting(process.stderr);
  const start = performance.now();
  if (place !== undefined) waiting.begin(`reading ${printableName(place)}`);
  const [found, checkpoint] = await findFolder(place ?? embeddedFolder, flags)
    .then(async (folder) => [folder, await readCheckpoint(folder)] as const)
    .finally(() => waiting.close());
  const report = reportOf(found, checkpoint);
  const taken = seconds(start);
  const plan = planDevice(found, checkpoint, flags);
  const all = flags.tensors === true;
  const out = flags.json
    ? printableJson(JSON.stringify(reportObject(report, plan, all), null, 2))
    : formatReport(report, plan, all, Math.max(20, process.stdout.columns || 80));
  process.stdout.write(`${out}\n`);
  warnOf(report.warnings);
  if (flags.verbose) {
    say(`model: ${report.folder} (${sourceOf(place)})`);
    say(`reading: ${taken}`);
  }
}

/** Folder of a checkpoint. A name on the hub is looked up in the cache only. */
async function findFolder(place: string, flags: ModelFlags): Promise<string> {
  if (!isOnHub(place)) return place;
  return downloadCheckpoint(place, { ...hubOf(flags), offline: true }).catch((error: unknown) => {
    if (!(error instanceof RND1Error) || error.code !== 'offline') throw error;
    const message = `'${place}' is neither a folder nor in the cache: \`rnd1 download ${place}\` fetches it`;
    throw new RND1Error('offline', message, { cause: error });
  });
}

/** Device that `DiffusionLM.load` would use, or why it would fail. */
function planDevice(folder: string, checkpoint: Checkpoint, flags: ModelFlags): DevicePlan | Problem {
  const { device = 'auto', dtype = 'auto' } = flags;
  const threads = cappedThreads(flags.threads) ?? defaultThreads();
  try {
    const machine = system();
    const plan = planLoad(folder, checkpoint, { device, dtype }, () => machine);
    const gpu = machine.gpus.find((candidate) => candidate.device === plan.device || plan.device === 'cuda');
    if (plan.device !== 'cpu' && gpu === undefined) {
      return { problem: machine.cudaUnavailable ?? `there is no ${plan.device}` };
    }
    const forced = forcedInstructionSet();
    if (gpu === undefined && forced !== undefined && !machine.instructionSets.includes(forced)) {
      return { problem: `RND1_CPU asks for ${forced}, which this machine cannot run` };
    }
    return {
      device: gpu?.device ?? plan.device,
      instructionSet: gpu?.name ?? forced ?? machine.instructionSets[0] ?? 'baseline',
      threads,
      dtype: plan.computeDtype,
      weights: plan.weights,
      reason: device === 'auto' ? (plan.reason ?? firstThatHolds) : `--device ${device} asks for it`,
    };
  } catch (error) {
    if (error instanceof RND1Error && ['addon_not_found', 'unsupported_model'].includes(error.code)) {
      return { problem: error.message };
    }
    throw error;
  }
}
