import type { Architecture } from '../../types/native';

type Prediction = Pick<Architecture, 'predictionShift' | 'keepsFirst'>;

/** A row predicts its own position. */
export const ownPosition: Prediction = { predictionShift: 0, keepsFirst: false };

/** A row predicts the next position, and nothing predicts the first. */
export const nextPosition: Prediction = { predictionShift: 1, keepsFirst: true };
