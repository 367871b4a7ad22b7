import { type Calibration, calibrationOf } from './calibration';
import { barsSvg, calibrationSvg, speedSvg } from './charts';
import { type ReadResults, readResults } from './read-results';

/**
 * A page in HTML on some folders of results, for people: a table, scores of the members of groups, right answers by tokens
 * that a forward pass writes, and how far a model's confidence in its choices can be trusted. Needs the package echarts.
 *
 * @throws RND1Error `io`, `invalid_data`; `not_found` without echarts
 */
export async function evaluationReport(folders: readonly string[]): Promise<string> {
  const all: ReadResults[] = [];
  for (const folder of folders) all.push(await readResults(folder));
  const named = withDifferentNames(all);
  const parts = [
    section('Scores', tableOf(named)),
    ...groupSections(named),
    ...speedSection(named),
    ...calibrationSection(named),
    section('Settings', named.map(settingsOf).join('')),
  ];
  return page(parts.join('\n'));
}

/** Two folders may have the same name. */
function withDifferentNames(all: readonly ReadResults[]): ReadResults[] {
  return all.map((each, i) => {
    const same = all.filter(({ name }) => name === each.name);
    return same.length === 1 ? each : { ...each, name: `${each.name} (${i + 1})` };
  });
}

/** One score: its task, `METRIC,FILTER`, percent, standard error in percent. */
interface Score {
  readonly task: string;
  readonly metric: string;
  readonly value: number;
  readonly error: number;
}

function scoresOf({ results }: ReadResults): Score[] {
  return Object.entries(results.results).flatMap(([task, entries]) =>
    Object.entries(entries).flatMap(([key, value]) => {
      const [name = '', filter] = key.split(',');
      if (filter === undefined || name.endsWith('_stderr') || typeof value !== 'number') return [];
      const error = entries[`${name}_stderr,${filter}`];
      const metric = filter === 'none' ? name : `${name}, ${filter}`;
      return [{ task, metric, value: 100 * value, error: typeof error === 'number' ? 100 * error : 0 }];
    }),
  );
}

function tableOf(all: readonly ReadResults[]): string {
  const scores = all.map(scoresOf);
  const keys = new Map(scores.flat().map(({ task, metric }) => [`${task}\n${metric}`, { task, metric }]));
  const cell = ({ value, error }: Score) => `${value.toFixed(1)} <small>± ${error.toFixed(1)}</small>`;
  const rows = [...keys.values()].map(({ task, metric }) => {
    const cells = scores.map((list, i) => {
      const score = list.find((each) => each.task === task && each.metric === metric);
      const perPass = all[i]?.results.rnd1.costs[task]?.tokensPerPass ?? null;
      const speed = perPass === null ? '' : `, ${perPass.toFixed(2)} tokens/pass`;
      return `<td>${score === undefined ? '–' : `${cell(score)}<small>${speed}</small>`}</td>`;
    });
    return `<tr><th>${escaped(task)}</th><td>${escaped(metric)}</td>${cells.join('')}</tr>`;
  });
  const head = all.map(({ name }) => `<th>${escaped(name)}</th>`).join('');
  return `<table><tr><th>task</th><th>score, %</th>${head}</tr>${rows.join('')}</table>`;
}

/** Bars for the members of each group that is not a group of groups. */
function groupSections(all: readonly ReadResults[]): string[] {
  const groups = new Map(all.flatMap(({ results }) => Object.entries(results.group_subtasks)));
  return [...groups].flatMap(([group, members]) => {
    const scores = all.map(scoresOf);
    const shown = members.filter((member) => scores.some((list) => list.some(({ task }) => task === member)));
    if (shown.length < 2) return [];
    const series = all.map(({ name }, i) => ({
      name,
      bars: shown.map((member) => scores[i]?.find(({ task }) => task === member) ?? null),
    }));
    return [section(group, picture(barsSvg(shown, series), `scores of the members of ${group}`))];
  });
}

function speedSection(all: readonly ReadResults[]): string[] {
  const series = all.map((each) => ({
    name: each.name,
    points: scoresOf(each).flatMap(({ task, value }, i, scores) => {
      const perPass = each.results.rnd1.costs[task]?.tokensPerPass ?? null;
      // The first metric of a task.
      const isFirst = scores.findIndex((score) => score.task === task) === i;
      return perPass === null || !isFirst ? [] : [{ task, x: perPass, y: value }];
    }),
  }));
  if (series.every(({ points }) => points.length === 0)) return [];
  return [
    section('Quality and speed', picture(speedSvg(series), 'right answers by tokens per forward pass')),
  ];
}

function calibrationSection(all: readonly ReadResults[]): string[] {
  const series = all.flatMap(({ name, samples }) => {
    const calibration = calibrationOf([...samples.values()].flat());
    return calibration === null ? [] : [{ name, calibration }];
  });
  if (series.length === 0) return [];
  const line = ({ name, calibration }: { name: string; calibration: Calibration }) =>
    `<li>${escaped(name)}: expected calibration error ${(100 * calibration.error).toFixed(1)} % over ${calibration.documents} documents</li>`;
  const text = `<p>Of the choices that a model prefers with a probability, how many are right? The probability is that among
    the choices, by their likelihoods.</p><ul>${series.map(line).join('')}</ul>`;
  return [section('Calibration', text + picture(calibrationSvg(series), 'right choices by probability'))];
}

const settingsOf = ({ name, results }: ReadResults) =>
  `<h3>${escaped(name)}</h3><pre>${escaped(JSON.stringify(results.config, null, 2))}</pre>`;

const section = (title: string, content: string) => `<section><h2>${escaped(title)}</h2>${content}</section>`;

/** An image of its own, so that the styles of two do not meet. */
const picture = (svg: string, text: string) =>
  `<img alt="${escaped(text)}" src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}">`;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => entities[character] as string);

const page = (content: string) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Evaluation</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #333; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2em .9em .2em 0; border-bottom: 1px solid #e6e6e6; }
small { color: #777; }
img { max-width: 100%; }
pre { background: #f6f6f6; padding: 1em; overflow: auto; }
</style>
<h1>Evaluation</h1>
${content}
</html>
`;
