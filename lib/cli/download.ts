import type { Command } from 'commander';
import { type DownloadProgress, downloadCheckpoint } from '../index';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { DownloadView } from './download-view';
import { Interruption } from './interrupt';
import { say, seconds } from './loading';
import { addHubOptions, type HubFlags, hubOf } from './options';
import { Waiting } from './progress';

interface DownloadFlags extends HubFlags {
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const manual = `
Fetches the files of a model (configuration, tokenizer, weights) from the
Hugging Face hub into the cache that all Hugging Face libraries share, and
prints the folder. Files in the cache are not fetched again. Interrupted
downloads resume. Other commands also fetch the model that --model names.

Environment:
  HF_HOME, HF_HUB_CACHE     location of the cache
  HF_TOKEN                  access token for private and gated models; safer
                            than --token, which other users of the machine can
                            see
  HF_ENDPOINT               URL of another hub
  HF_HUB_OFFLINE=1          disables downloads
  HF_HUB_DOWNLOAD_TIMEOUT   seconds without data before a request is retried
                            (default: 30)
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                            the proxy, as http://user:password@host:port,
                            and hosts to reach without it; see
                            docs/checkpoints.md

Exit codes:
  0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
  SIGHUP).

Examples:
  $ rnd1 download radicalnumerics/RND1-Base-0910
  $ rnd1 download radicalnumerics/RND1-Base-0910 --revision main --quiet
  $ rnd1 generate --model radicalnumerics/RND1-Base-0910 'What is 47+38?'`;

/** `rnd1 download` */
export function addDownload(program: Command): void {
  const command = program
    .command('download')
    .summary('fetch a model from the Hugging Face hub')
    .description('Fetches a model from the Hugging Face hub and prints its folder.')
    .argument('<repo>', 'name of the model on the hub: owner/name');
  addHubOptions(command)
    .optionsGroup('Output:')
    .option('-q, --quiet', 'no progress on standard error')
    .option('--verbose', 'print to standard error what was fetched, and how long it took')
    .addHelpText('after', manual)
    .action(download);
}

async function download(repo: string, flags: DownloadFlags): Promise<void> {
  using interruption = new Interruption();
  const view = flags.quiet ? null : new DownloadView(process.stderr);
  const waiting = flags.quiet ? null : new Waiting(process.stderr);
  const start = performance.now();
  let last: DownloadProgress | null = null;
  waiting?.begin(`looking up ${printableName(repo)}`);
  try {
    const folder = await downloadCheckpoint(repo, {
      ...hubOf(flags),
      onProgress(progress) {
        last = progress;
        waiting?.close();
        view?.update(progress);
      },
      signal: interruption.signal,
    });
    waiting?.close();
    view?.close();
    process.stdout.write(`${process.stdout.isTTY ? printableName(folder) : folder}\n`);
    if (flags.verbose) {
      say(`model: ${repo}, ${contentsOf(last)}`);
      say(`download: ${seconds(start)}`);
    }
  } finally {
    waiting?.close();
    view?.close();
  }
}

/** Describes a download by its last progress report; null if nothing had to be fetched. */
function contentsOf(last: DownloadProgress | null): string {
  return last === null ? 'in the cache already' : `${last.totalFiles} files, ${formatBytes(last.totalBytes)}`;
}
