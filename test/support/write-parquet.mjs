// Writes the rows of a JSONL file as Parquet, with int64 for integers, as the hub has them:
// node write-parquet.mjs IN.jsonl OUT.parquet
import { readFileSync } from 'node:fs';
import { parquetWriteFile } from 'hyparquet-writer';

const [input, filename] = process.argv.slice(2);
const rows = readFileSync(input, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line));

/** The rows' values of a column, with integers as bigints. */
const wide = (value) => {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(wide);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, wide(each)]));
};

/** Schema elements of a column by its first value. */
const elements = (name, value) => {
  if (Array.isArray(value))
    return [
      { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...elements('element', value[0] ?? ''),
    ];
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value);
    return [
      { name, repetition_type: 'OPTIONAL', num_children: fields.length },
      ...fields.flatMap(([field, each]) => elements(field, each)),
    ];
  }
  if (typeof value === 'number') return [{ name, type: 'INT64', repetition_type: 'OPTIONAL' }];
  return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }];
};

const names = Object.keys(rows[0]);
parquetWriteFile({
  filename,
  columnData: names.map((name) => ({ name, data: rows.map((row) => wide(row[name])) })),
  schema: [
    { name: 'root', num_children: names.length },
    ...names.flatMap((name) => elements(name, rows.find((row) => row[name] !== null)?.[name] ?? '')),
  ],
});
