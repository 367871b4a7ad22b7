import { dirname, join } from 'node:path';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { parsePythonLiteral } from '../python/literal';
import { type PlainValue, plainValue } from '../python/values';

/**
 * What a function of a Python file returns, if it does nothing but return a literal. Nothing is executed.
 *
 * @param taskFile the file that names the function
 * @param reference `utils.list_fewshot_samples` for example
 * @param read gives the text of a file
 * @throws RND1Error `io` or `invalid_data` naming the file
 */
export async function functionResult(
  taskFile: string,
  reference: string,
  read: (path: string) => Promise<string>,
): Promise<PlainValue> {
  const [module, name] = /^(\w+)\.(\w+)$/.exec(reference)?.slice(1) ?? [];
  if (module === undefined || name === undefined)
    throw new RND1Error('invalid_data', `${printableName(taskFile)}: ${reference} is not a function`);
  const path = join(dirname(taskFile), `${module}.py`);
  const source = await read(path);
  const body = new RegExp(`^def ${name}\\([^)]*\\)[^\\n]*:\\s*\\n\\s+return\\b([\\s\\S]*)`, 'm').exec(
    source,
  )?.[1];
  try {
    if (body === undefined) throw new SyntaxError('it is not there, or does more');
    // The next line that is not indented, and does not close a bracket, is no longer part of it.
    return plainValue(parsePythonLiteral(body.replace(/\n(?=[^\s#\])}])[\s\S]*/, '')));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const what = `${name} must be a function that returns a literal (${error.message})`;
    throw new RND1Error('invalid_data', `${printableName(path)}: ${what}`);
  }
}
