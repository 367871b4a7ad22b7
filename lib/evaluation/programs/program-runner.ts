import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { RND1Error } from '../../support/errors';
import { numberOption, optionsObject, stringOption, wordOption } from '../../support/validate';
import { driver } from './driver';
import { type Sandbox, sandboxed, sandboxes } from './sandbox';

/** How programs in Python are run. */
export interface ProgramOptions {
  /** The interpreter, 3.8 or later; pyodide has its own. @default 'python3' */
  readonly python?: string;
  /** @default the first that works: bwrap, unshare, and pyodide, unless an interpreter is named */
  readonly sandbox?: Sandbox;
  /** Seconds after which a program is interrupted; it is killed a moment later. @default 3, the reference's */
  readonly seconds?: number;
}

/** What became of a program. */
export interface ProgramVerdict {
  /** Whether it ran to its end. */
  readonly passed: boolean;
  /** How it ended; `killed`: it ignored its time, or destroyed its own process. */
  readonly kind: 'passed' | 'failed' | 'timed out' | 'killed';
  /** The exception, for people. */
  readonly message: string;
}

/** Seconds between the interruption of a program and its end. */
const grace = 1.5;
const memory = 2 ** 30;
const processes = 32;
/** Bytes of a verdict; more are an attack. */
const verdictLimit = 4096;
/** Programs that have no user of their own run as nobody. */
const nobody = 65_534;

/** Starts a thread, so that a sandbox in which that fails is not used. */
const probe = 'import threading\nthread = threading.Thread(target=print)\nthread.start()\nthread.join()\n';

/**
 * Runs programs that nobody has read: each in a process of its own that has no network, sees no other processes, writes
 * to an empty folder in memory only, and is limited in time, memory, processes and files. What programs print is dropped.
 */
export class ProgramRunner {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  private constructor(
    /** Version of Python; results depend on it. */
    readonly version: string,
    /** What keeps programs from the rest of the machine. */
    readonly sandbox: Sandbox,
    private readonly python: string,
    private readonly folder: string,
    private readonly seconds: number,
  ) {}

  /**
   * @throws RND1Error `not_found` if there is no Python, or nothing that keeps programs from the rest of the machine
   */
  static async open(given: ProgramOptions = {}): Promise<ProgramRunner> {
    const options = optionsObject('programs', given, { python: true, sandbox: true, seconds: true });
    const seconds = numberOption('seconds', options.seconds ?? 3, 0.1, 3600);
    const python = stringOption('python', options.python ?? 'python3');
    const wanted =
      options.sandbox === undefined
        ? sandboxes.filter((each) => each !== 'pyodide' || options.python === undefined)
        : [wordOption('sandbox', options.sandbox, [...sandboxes, 'none'] as const)];
    const folder = await mkdtemp(join(tmpdir(), 'rnd1-program-'));
    await chmod(folder, 0o777);
    // Without a path, the interpreter of the user's environment may be one that nobody may run.
    const pythons = python === 'python3' ? [python, '/usr/bin/python3'] : [python];
    const failures: string[] = [];
    for (const sandbox of wanted)
      for (const each of sandbox === 'pyodide' ? ['its own Python'] : pythons) {
        // WebAssembly has no threads.
        const program = sandbox === 'pyodide' ? '' : probe;
        const { verdict, version } = await execute({ sandbox, python: each, folder, seconds }, program);
        if (verdict.passed) return new ProgramRunner(version, sandbox, each, folder, seconds);
        failures.push(`${sandbox} with ${each}: ${verdict.message}`);
      }
    await rm(folder, { recursive: true, force: true });
    throw new RND1Error(
      'not_found',
      `programs cannot be run safely here (${failures.join('; ')}): install bubblewrap or the package pyodide, or, inside a container, use the sandbox none`,
    );
  }

  /** Runs a program; as many at a time as there are cores, as limits of time are those of the clock. */
  async run(program: string): Promise<ProgramVerdict> {
    if (this.#running < availableParallelism()) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const { sandbox, python, folder, seconds } = this;
      return (await execute({ sandbox, python, folder, seconds }, program)).verdict;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  /** Removes what it has made. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface Execution {
  readonly verdict: ProgramVerdict;
  readonly version: string;
}

/** How a program is run. */
interface Circumstances {
  readonly sandbox: Sandbox;
  readonly python: string;
  readonly folder: string;
  readonly seconds: number;
}

async function execute(
  { sandbox, python, folder, seconds }: Circumstances,
  program: string,
): Promise<Execution> {
  const word = randomBytes(16).toString('hex');
  const prepared = sandboxed(sandbox, folder, [python, '-I', '-c', driver]);
  if (prepared === null) return killed('the package is not installed');
  const { command, args, startTime } = prepared;
  // As nobody, Node might not be allowed to read itself.
  const becomesNobody = startTime === undefined && process.getuid?.() === 0;
  const child = spawn(command, args, {
    cwd: folder,
    // Nothing of the environment: it may hold secrets.
    env: { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8', HOME: folder },
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    detached: true,
    ...(becomesNobody ? { uid: nobody, gid: nobody } : {}),
  });
  const request = { word, program, seconds, memory, processes, file: 2 ** 24 };
  const { stdin } = child as ChildProcess & { stdin: NodeJS.WritableStream };
  // A process that dies early closes its end.
  stdin.on('error', () => {});
  stdin.end(JSON.stringify(request));
  let late = false;
  const endAfter = (time: number) =>
    setTimeout(() => {
      late = true;
      kill(child);
    }, 1000 * time);
  let timer = endAfter(seconds + (startTime ?? grace));
  const onFirst = () => {
    if (startTime === undefined) return;
    // Nothing interrupts it.
    clearTimeout(timer);
    timer = endAfter(seconds);
  };
  try {
    const [text, exit] = await Promise.all([verdictOf(child, onFirst), ended(child)]);
    const found = readVerdict(text, word, exit);
    const overdue = startTime !== undefined && late && found.verdict.kind === 'killed';
    return overdue ? killed(exit, 'timed out') : found;
  } finally {
    clearTimeout(timer);
    kill(child);
  }
}

/** Kills a process and all of its group; with a sandbox, all that it has started. */
function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** How a process ended, for people. */
async function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve(message));
    child.on('exit', (code, signal) => {
      // What it started may still hold the pipe of the verdict open.
      kill(child);
      resolve(signal === null ? `it exited with ${code}` : `it was ended by ${signal}`);
    });
  });
}

async function verdictOf(child: ChildProcess, onFirst: () => void): Promise<string> {
  const pipe = child.stdio[3] as Readable;
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of pipe as AsyncIterable<Buffer>) {
      if (bytes === 0) onFirst();
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > verdictLimit) break;
    }
  } catch {
    // A pipe that breaks has no verdict.
  }
  if (bytes > verdictLimit) kill(child);
  return bytes > verdictLimit ? '' : Buffer.concat(pieces).toString();
}

function readVerdict(text: string, word: string, exit: string): Execution {
  let report: Partial<Record<'word' | 'kind' | 'message' | 'python', unknown>> = {};
  try {
    report = JSON.parse(text) ?? {};
  } catch {
    // Not the driver's.
  }
  const { kind, message, python } = report;
  const kinds = ['passed', 'failed', 'timed out'] as const;
  const known = report.word === word ? kinds.find((each) => each === kind) : undefined;
  if (known === undefined) return killed(exit);
  return {
    verdict: { passed: known === 'passed', kind: known, message: String(message) },
    version: String(python),
  };
}

const killed = (message: string, kind: ProgramVerdict['kind'] = 'killed'): Execution => ({
  verdict: { passed: false, kind, message },
  version: '',
});
