/** Philox 4x32-10 (Salmon et al., 2011) in plain TypeScript: the oracle of the native generator. */
const multipliers = [0xd2511f53n, 0xcd9e8d57n] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;
const rounds = 10;

type Words = readonly [number, number, number, number];

/** The four words of one counter. */
export function philox(seed: bigint, counter: Words): Words {
  let key0 = Number(BigInt.asUintN(32, seed));
  let key1 = Number(BigInt.asUintN(32, seed >> 32n));
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < rounds; round++) {
    const left = multipliers[0] * BigInt(c0);
    const right = multipliers[1] * BigInt(c2);
    c0 = (Number(right >> 32n) ^ c1 ^ key0) >>> 0;
    c1 = Number(BigInt.asUintN(32, right));
    c2 = (Number(left >> 32n) ^ c3 ^ key1) >>> 0;
    c3 = Number(BigInt.asUintN(32, left));
    key0 = (key0 + weyl[0]) >>> 0;
    key1 = (key1 + weyl[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The uniform number in (0, 1) that belongs to one token at one position in one round. */
export function uniform(seed: bigint, token: number, position: number, round: number): number {
  const word = philox(seed, [token >>> 2, position, round, 0])[token & 3] as number;
  return ((word >>> 9) + 0.5) * 2 ** -23;
}
