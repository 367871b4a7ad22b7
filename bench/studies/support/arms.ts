/** Learning rates of a conversion. */
export interface Arm {
  readonly attention: number;
  /** Of all other parameters. */
  readonly rest: number;
}

/** Layer-wise rates, uniform ones, and the mirror image of the former as a control. */
export const arms: readonly Arm[] = [
  { attention: 1e-3, rest: 1e-3 },
  { attention: 1e-3, rest: 3e-4 },
  { attention: 1e-3, rest: 1e-4 },
  { attention: 1e-3, rest: 0 },
  { attention: 3e-4, rest: 3e-4 },
  { attention: 1e-4, rest: 1e-4 },
  { attention: 1e-4, rest: 1e-3 },
];

const rate = (value: number) => (value === 0 ? '0' : value.toExponential());

/** `1e-3 : 1e-4` */
export const armName = ({ attention, rest }: Arm) => `${rate(attention)} : ${rate(rest)}`;

/** As a part of a path. */
export const armFolder = ({ attention, rest }: Arm) => `${rate(attention)}_${rate(rest)}`;
