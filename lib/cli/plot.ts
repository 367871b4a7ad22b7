import { type Command, Option } from 'commander';
import { printableName } from '../support/printable';
import { replaceFile } from '../support/write-files';
import { plot as draw } from '../training/metrics/plot';
import { type PlotValue, plotValueNames } from '../training/metrics/plot-values';
import { integer, number, UsageError } from './input';

interface PlotFlags {
  readonly out?: string;
  readonly value?: PlotValue;
  readonly x?: 'step' | 'tokens';
  readonly smooth?: number;
  readonly log?: boolean;
  readonly title?: string;
  readonly width?: number;
  readonly height?: number;
}

const manual = `
A run is its folder, or its metrics.jsonl. Each has a colour: a thin line of all
steps, a thick one of their moving average, and points of its evaluations. The
lines of a run that is still going are drawn as far as they are.

Values: masked_ce is the cross entropy of the scored positions, elbo the bound
of nats per token, both with those of evaluations; loss is what the gradients
are of, with all weights and with the terms of the routers.

Plots need the package echarts: npm install echarts.

Exit codes: 0 done, 1 failure, 2 wrong usage.

Examples:
  $ rnd1 plot runs/scp -o loss.svg
  $ rnd1 plot runs/ar runs/scp -o runs.svg --x tokens --log --title 'AR, SCP'
  $ rnd1 plot runs/scp --value learning_rate > rate.svg && echo done`;

/** `rnd1 plot` */
export function addPlot(program: Command): void {
  program
    .command('plot')
    .summary('draw curves of training runs')
    .description('Draws curves of training runs as SVG.')
    .argument('<run...>', 'folders of runs')
    .option('-o, --out <file>', 'SVG file to write (default: standard output)')
    .addOption(
      new Option('--value <name>', 'what to draw, see below (default: masked_ce)').choices(plotValueNames),
    )
    .addOption(
      new Option('--x <name>', 'what the horizontal axis counts (default: step)').choices(['step', 'tokens']),
    )
    .option(
      '--smooth <factor>',
      'of the moving average, 0 for none (default: 0.9 for what is noisy)',
      number(0, 0.9999),
    )
    .option('--log', 'logarithmic vertical axis')
    .option('--title <text>', 'text above the plot')
    .option('--width <pixels>', 'width (default: 900)', integer(200))
    .option('--height <pixels>', 'height (default: 520)', integer(150))
    .addHelpText('after', manual)
    .action(plot);
}

async function plot(runs: readonly string[], flags: PlotFlags): Promise<void> {
  const { out, value, x, smooth, log, title, width, height } = flags;
  if (out === undefined && process.stdout.isTTY)
    throw new UsageError('--out is needed: standard output is a terminal, which shows no SVG');
  const svg = await draw(runs, { value, x, smooth, logScale: log, title, width, height });
  if (out === undefined) {
    process.stdout.write(`${svg}\n`);
    return;
  }
  await replaceFile(out, `${svg}\n`);
  process.stdout.write(`${printableName(out)}: ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}\n`);
}
