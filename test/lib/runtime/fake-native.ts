import { expertsOf } from '../../../lib/families/traits';
import type { Native } from '../../../lib/runtime/binding';
import type { ForwardRequest, ForwardResult, SessionDescription, StepCanvas } from '../../../types/native';
import { stepOracle } from '../denoising/step-oracle';
import { FakeFlag, type FakeModel, FakeSession, madeUpModel } from './fake-session';

/** A session that also answers `forward`, with recognisable numbers, and `dispose`. */
export class FakeModelSession extends FakeSession {
  readonly requests: ForwardRequest[] = [];
  disposals = 0;
  /** Caches that are not disposed. */
  caches = 0;
  readonly info;

  constructor(
    readonly description: SessionDescription,
    model: FakeModel,
  ) {
    super(description.architecture.vocabulary, model);
    const { device, threads, dtype } = description;
    this.info = { device, threads, dtype, instructionSet: 'imaginary', weightBytes: 12345 };
  }

  /** Every number encodes its array, layer and position. */
  async forward(requests: readonly ForwardRequest[], abort: FakeFlag | null): Promise<ForwardResult[]> {
    this.requests.push(...requests);
    await Promise.race([
      new Promise<never>((_, reject) => {
        abort?.onAbort(() => reject(Object.assign(new Error('aborted'), { code: 'aborted' })));
      }),
      this.beforeResult([]),
    ]);
    const { layers, hidden, vocabulary } = this.description.architecture;
    const routed = expertsOf(this.description.architecture);
    const { experts = 0, expertsPerToken = 0 } = routed[0] ?? {};
    return requests.map(({ tokens, rows, ...wanted }) => {
      const positions = [...(rows ?? tokens.keys())];
      const numbers = (outer: number, inner: number, base: number) =>
        Array.from({ length: outer }, (_, layer) =>
          positions.map((position) => new Array<number>(inner).fill(base + layer * 100 + position)),
        ).flat(2);
      return {
        logits: Float32Array.from(numbers(1, vocabulary, 1000)),
        hidden: wanted.hidden ? Float32Array.from(numbers(layers.length + 2, hidden, 2000)) : null,
        routerLogits: wanted.routing ? Float32Array.from(numbers(routed.length, experts, 3000)) : null,
        expertIds: wanted.routing ? Int32Array.from(numbers(routed.length, expertsPerToken, 4000)) : null,
        expertWeights: wanted.routing
          ? Float32Array.from(numbers(routed.length, expertsPerToken, 5000))
          : null,
      };
    });
  }

  /** Bytes of each position. */
  async createCache(positions: number) {
    this.caches++;
    return { positions, bytes: positions, dispose: () => void this.caches-- };
  }

  async dispose(): Promise<void> {
    this.disposals++;
  }
}

/** An addon in TypeScript. */
export class FakeNative {
  readonly sessions: FakeModelSession[] = [];
  readonly AbortFlag = FakeFlag;
  gpus: { device: string; name: string; bytes: number }[] = [];
  /** Logits of sessions loaded from now on; synthetic by default. */
  model: FakeModel | null = null;
  /** Called while a session loads; an error that it throws makes loading fail. */
  whileLoading: () => Promise<void> | void = () => {};

  readonly Session = {
    load: async (
      description: SessionDescription,
      onProgress: ((...numbers: [number, number, number, number]) => void) | null,
      abort: FakeFlag | null,
    ): Promise<FakeModelSession> => {
      onProgress?.(1, 2, 3, 4);
      await this.whileLoading();
      if (abort?.aborted) throw Object.assign(new Error('aborted'), { code: 'aborted' });
      onProgress?.(2, 2, 4, 4);
      const model = this.model ?? madeUpModel(description.architecture.vocabulary);
      const session = new FakeModelSession(description, model);
      this.sessions.push(session);
      return session;
    },
  };

  readonly system = () => ({
    instructionSets: ['imaginary'],
    compiledInstructionSets: ['imaginary'],
    gpus: this.gpus,
    cudaUnavailable: 'no driver at all',
  });

  readonly scoreAndUnmask = async (logits: Float32Array, vocabulary: number, canvas: StepCanvas) =>
    stepOracle(logits, vocabulary, canvas);

  asNative(): Native {
    return this as unknown as Native;
  }
}
