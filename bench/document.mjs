import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as echarts from 'echarts';
import prettier from 'prettier';

/** The peers by the names they give themselves, fastest first as a rule. */
const PEERS = { 'graphile-worker': 'graphile-worker', 'pg-boss': 'pg-boss', bullmq: 'BullMQ' };

/**
 * Writes a run down: its figures as a table and as printed, and the plot of them beside it, `<name>.svg`.
 * @param {string} file Markdown
 * @param {{ machine: string, figures: readonly object[] }} run figures as printed
 */
export async function writeDocument(file, { machine, figures }) {
  const plot = `${path.basename(file, '.md')}.svg`;
  const date = new Date().toISOString().slice(0, 10);
  const typed = process.argv.slice(2).join(' ');
  const text = `# Benchmarks

Measured on ${date} by \`npm run bench -- ${typed}\`, which wrote this page: ${machine}. What each figure means, and how to measure your own machine: [bench](${link(file)}).

![Imports and dial cycles of Outdial beside those of job queues](${plot})

Compare within this page only: every figure of it was measured in the same run.

${table(figures)}

As printed:

\`\`\`json
${figures.map((figure) => JSON.stringify(figure)).join('\n')}
\`\`\`
`;
  const options = await prettier.resolveConfig(file);
  await writeFile(file, await prettier.format(text, { ...options, filepath: file }));
  await writeFile(path.join(path.dirname(file), plot), `${draw(figures, `${date}, ${machine}`)}\n`);
}

const link = (file) => path.relative(path.dirname(path.resolve(file)), path.join(import.meta.dirname, 'README.md')).replaceAll('\\', '/');

function table(figures) {
  const heads = [
    'figure',
    'via',
    'targets',
    'value',
    'unit',
    'of the floor',
    ...Object.values(PEERS).map((name) => `× ${name}`),
    'besides',
  ];
  const rows = figures.map(({ figure, via, version, targets, value, unit, ratio = {}, latency, ...others }) => {
    const { floor, ...ratios } = ratio;
    const peers = Object.keys(PEERS).map((name) => ratios[name] ?? '');
    const rest = Object.entries(ratios).filter(([name]) => !(name in PEERS));
    const besides = [
      ...rest.map(([name, times]) => `${times} × ${name}`),
      ...Object.entries(others).map(([name, more]) => `${name.replaceAll('_', ' ')} ${more}`),
      ...Object.entries(latency ?? {}).map(([name, { p50, p99 }]) => `${name} p50 ${p50} ms, p99 ${p99} ms`),
    ];
    const share = floor === undefined ? '' : `${Math.round(100 * floor)} %`;
    return [figure, version ? `${via} ${version}` : via, grouped(targets), grouped(value), unit, share, ...peers, besides.join('; ')];
  });
  return [heads, heads.map((head) => (['targets', 'value'].includes(head) ? '--:' : '---')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

const grouped = (value) => value.toLocaleString('en-US');

const TEXT = { fontFamily: 'system-ui, sans-serif', color: '#1c2430' };
const COLORS = { ours: '#2f6fde', peer: '#9aa5b5', floor: '#d7dce4' };
const SIZE = { width: 760, height: 440 };

/** Import and dial cycle, ours beside the peers and the floor, as one SVG. */
function draw(figures, made) {
  const panels = [
    { title: 'Import, targets/s', figure: 'import', eventsEach: 1, top: 40 },
    { title: 'Dial cycle, attempts/s: each claim and each outcome stored', figure: 'dial-cycle', eventsEach: 2, top: 240 },
  ].map((panel) => ({ ...panel, bars: barsOf(figures, panel) }));
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, ...SIZE });
  chart.setOption({
    animation: false,
    textStyle: TEXT,
    backgroundColor: '#ffffff',
    title: [
      ...panels.map(({ title, top }) => ({ text: title, left: 8, top: top - 32, textStyle: { ...TEXT, fontSize: 14 } })),
      { text: made, right: 8, bottom: 4, textStyle: { ...TEXT, fontSize: 10, fontWeight: 'normal', color: '#50596a' } },
    ],
    grid: panels.map(({ top }) => ({ left: 150, right: 90, top, height: 150 })),
    xAxis: panels.map((_, gridIndex) => ({ gridIndex, type: 'value', show: false })),
    yAxis: panels.map(({ bars }, gridIndex) => ({
      gridIndex,
      type: 'category',
      inverse: true,
      data: bars.map(({ name }) => name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...TEXT, fontSize: 12 },
    })),
    series: panels.map(({ bars }, index) => ({
      type: 'bar',
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: 16,
      data: bars.map(({ value, kind }) => ({ value, itemStyle: { color: COLORS[kind] } })),
      label: { show: true, position: 'right', ...TEXT, formatter: ({ value }) => grouped(value) },
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function barsOf(figures, { figure, eventsEach }) {
  const valueOf = (name, via) => figures.find((one) => one.figure === name && one.via === via)?.value;
  const floor = valueOf('floor', 'insert');
  return [
    { name: 'floor (SQLite)', kind: 'floor', value: floor === undefined ? undefined : Math.round(floor / eventsEach) },
    { name: 'Outdial, in process', kind: 'ours', value: valueOf(figure, 'in process') },
    { name: 'Outdial, HTTP', kind: 'ours', value: valueOf(figure, 'http') },
    ...Object.entries(PEERS).map(([via, name]) => ({ name, kind: 'peer', value: valueOf(figure, via) })),
  ].filter(({ value }) => value !== undefined);
}
