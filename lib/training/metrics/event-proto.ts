import { maskedCrc32c } from './crc32c';

/** What an event says: the version of the file, first; the start of a session, which outdates what earlier files say of its
 * step and later ones; or values by tag. */
export type EventContent = 'version' | 'start' | Readonly<Record<string, number>>;

/** A record of an event file: length, its checksum, an `Event` of TensorFlow's event.proto, its checksum. */
export function eventRecord(wallTime: number, step: number, content: EventContent): Buffer {
  const event = Buffer.concat([
    double(1, wallTime),
    ...(step === 0 ? [] : [field(2, 0), varint(step)]),
    ...contentOf(content),
  ]);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(event.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(event));
  return Buffer.concat([head, event, tail]);
}

function contentOf(content: EventContent): Buffer[] {
  if (content === 'version') return [bytes(3, Buffer.from('brain.Event:2'))];
  // SessionLog.status = START.
  if (content === 'start') return [bytes(7, Buffer.concat([field(1, 0), varint(1)]))];
  const values = Object.entries(content).map(([tag, value]) =>
    bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
  );
  return [bytes(5, Buffer.concat(values))];
}

/** Key of a field: its number, and how its value is encoded. */
function field(number: number, type: 0 | 1 | 2 | 5): Buffer {
  return varint(number * 8 + type);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  // Not by bit operations, which would cut it to 32 bits.
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest % 128) + 128);
  }
}

function bytes(number: number, content: Buffer): Buffer {
  return Buffer.concat([field(number, 2), varint(content.length), content]);
}

function double(number: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([field(number, 1), out]);
}

function float(number: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([field(number, 5), out]);
}
