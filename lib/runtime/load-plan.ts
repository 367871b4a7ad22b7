import type { NativeSystem, NativeTensor } from '../../types/native';
import type { Device, DType } from '../api/types';
import type { ModelConfig } from '../checkpoint/config';
import { quantizedBytes, type SelectedTensors } from '../checkpoint/tensors';
import { type ChosenDtypes, chooseDtypes, tensorsFor, unquantizedBytes } from './compute-dtype';
import { chooseDevice, type DeviceChoice } from './device';

/** Where and in which formats a checkpoint is loaded. */
export interface LoadPlan extends ChosenDtypes, DeviceChoice {
  readonly tensors: readonly NativeTensor[];
}

/** What a plan needs of a checkpoint. */
interface Planned {
  readonly config: Pick<ModelConfig, 'architecture'>;
  readonly selected: SelectedTensors;
}

/** The plan for one kind of device, and the bytes that its weights take. */
function planFor(folder: string, { config, selected }: Planned, dtype: DType, onGpu: boolean) {
  const choice = chooseDtypes(folder, dtype, selected, onGpu);
  const { computeDtype, quantize, keeps } = choice;
  const tensors = tensorsFor(selected, choice);
  // Weights in blocks that are not kept so take more memory than in the file, quantized ones less.
  const bytes =
    quantize !== null
      ? quantizedBytes(config.architecture, computeDtype, quantize)
      : selected.kept.size > 0 && !keeps
        ? unquantizedBytes(tensors)
        : selected.bytes;
  return { ...choice, tensors, bytes };
}

/**
 * Chooses device and dtypes. `'auto'` is the first GPU that holds the weights as a GPU would have them, else the CPU.
 *
 * @throws RND1Error `unsupported_model` as `chooseDtypes`
 */
export function planLoad(
  folder: string,
  checkpoint: Planned,
  { device, dtype }: { readonly device: Device; readonly dtype: DType },
  system: () => NativeSystem,
): LoadPlan {
  if (device !== 'auto')
    return { ...planFor(folder, checkpoint, dtype, device !== 'cpu'), device, reason: null };
  const onGpu = planFor(folder, checkpoint, dtype, true);
  const choice = chooseDevice(system(), onGpu.bytes);
  return { ...(choice.device === 'cpu' ? planFor(folder, checkpoint, dtype, false) : onGpu), ...choice };
}
