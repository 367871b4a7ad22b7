import type { Command } from 'commander';
import { formatBytes } from '../format-bytes';
import { type DownloadProgress, downloadCheckpoint } from '../index';
import { printableName } from '../printable';
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
Fetches what a model needs (configuration, tokenizer, weights) from the Hugging
Face hub into the cache that all Hugging Face libraries share, and prints the
folder. A model that is there already is not fetched again. What Ctrl-C or a
failure leaves is gone on with the next time. Models are also fetched by --model
of the other commands.

Environment:
  HF_HOME, HF_HUB_CACHE     where the cache is
  HF_TOKEN                  for private and gated models; better here than as an
                            option, which other users of the machine can see
  HF_ENDPOINT               another hub
  HF_HUB_OFFLINE=1          nothing is fetched
  HF_HUB_DOWNLOAD_TIMEOUT   seconds of silence before a request is made
                            again (30)
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                            the proxy, as http://user:password@host:port,
                            and hosts to be reached without it;
                            docs/checkpoints.md tells more

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
    .argument('<repo>', 'its name on the hub: owner/name');
  addHubOptions(command)
    .optionsGroup('Output:')
    .option('-q, --quiet', 'no progress on standard error')
    .option('--verbose', 'say on standard error what came from where, and how long it took')
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

/** What the last report of a download tells; there is none where nothing had to come. */
function contentsOf(last: DownloadProgress | null): string {
  return last === null ? 'in the cache already' : `${last.totalFiles} files, ${formatBytes(last.totalBytes)}`;
}
