import type { EChartsCoreOption } from 'echarts';
import { formatMicros } from '#dialing/replay';
import type { Address, Attempt } from '#dialing';
import { attemptRows, summarize } from '#application/audit';
import type { AuditedAttempt, AuditedOutdial, AuditPeriod, AuditSummary, ChainVerdict } from '#application/audit';

/** What stands at the head of the page. */
export interface ReportHeading extends AuditPeriod {
  readonly name: string;
  readonly detail: string;
  readonly madeAt: string;
}

const MINUTE = 60_000_000;
/** Bars that a printed page has room for. */
const BARS = 60;

/**
 * The printed report: one self-contained page, no script, nothing from elsewhere. Two passes over the same events: one for the totals and plots, which a reader wants
 * first, one for the rows.
 */
export async function* reportPage(outdial: AuditedOutdial, heading: ReportHeading): AsyncGenerator<string> {
  const times = new Times();
  const plot = await loadPlot();
  const summary = await summarize(outdial, heading, (attempt) => {
    times.add(attempt);
  });
  yield head(outdial.outdialId, heading) + verdict(summary.chain) + totals(summary) + plots(plot, summary, times) + TABLE_HEAD;
  for await (const { rows } of attemptRows(outdial, heading)) yield rows.map(tableRow).join('');
  yield `</tbody></table></main></body></html>\n`;
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const STYLE = `
  :root { color-scheme: light; font: 14px/1.45 system-ui, sans-serif; color: #1c2430; }
  body { margin: 0; background: #fff; } main { max-width: 1040px; margin: 0 auto; padding: 32px 24px; }
  h1 { font-size: 24px; margin: 0; } h2 { font-size: 16px; margin: 28px 0 8px; } p { margin: 4px 0; color: #50596a; }
  code { font: 12px ui-monospace, monospace; }
  .verdict { margin: 20px 0; padding: 12px 16px; border-left: 4px solid #1f8a4c; background: #eef8f1; }
  .verdict.broken { border-color: #c0392b; background: #fdf0ee; } .verdict p { color: inherit; }
  .figures { display: flex; flex-wrap: wrap; gap: 12px; } .figures div { border: 1px solid #dde2ea; border-radius: 6px; padding: 8px 14px; }
  .figures b { display: block; font-size: 20px; } .plots { display: flex; flex-wrap: wrap; gap: 16px; }
  table { border-collapse: collapse; width: 100%; font-size: 12px; } th { text-align: left; border-bottom: 2px solid #1c2430; }
  td, th { padding: 4px 6px; vertical-align: top; } tbody tr { border-bottom: 1px solid #e6eaf0; break-inside: avoid; }
  thead { display: table-header-group; } td.broken { color: #c0392b; }
  @media print { main { padding: 0; max-width: none; } .plots { break-inside: avoid; } }`;

function head(outdialId: string, { name, detail, madeAt, from, to }: ReportHeading): string {
  const period =
    from <= 0 && to >= Number.MAX_SAFE_INTEGER
      ? 'All attempts'
      : `Attempts started from ${from <= 0 ? 'the beginning' : formatMicros(from)} to ${to >= Number.MAX_SAFE_INTEGER ? 'now' : `before ${formatMicros(to)}`}`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(name)} – audit report</title><style>${STYLE}</style></head>
<body><main><h1>${escaped(name)}</h1>${detail === '' ? '' : `<p>${escaped(detail)}</p>`}
<p>Outdial <code>${outdialId}</code>. ${escaped(period)}. Made at ${escaped(madeAt)} UTC by replaying every event; all times are UTC.</p>`;
}

function verdict({ ok, events, flawed, flaws }: ChainVerdict): string {
  if (ok)
    return `<section class="verdict"><b>The record holds.</b><p>All ${events} events follow one another, each with the hash of the one before.</p></section>`;
  const named = flaws.map(
    ({ stream, revision, reason }) => `<li><code>${escaped(stream)}</code>, event ${revision}: ${escaped(reason)}</li>`,
  );
  return `<section class="verdict broken"><b>The record was changed: ${flawed} ${flawed === 1 ? 'stream does' : 'streams do'} not hold.</b>
<p>The first event of each that does not fit:</p><ul>${named.join('')}</ul></section>`;
}

const figure = (label: string, value: string | number): string => `<div>${label}<b>${value}</b></div>`;
const percent = (part: number, whole: number): string => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`);

function totals({ targets, done, attempts, attempted, byOutcome, released }: AuditSummary): string {
  const { under_way = 0, answered = 0 } = byOutcome;
  const figures = [
    figure('Targets', targets.total),
    figure('Answered', done.answered),
    figure('Exhausted', done.exhausted),
    figure('Canceled', done.canceled),
    figure('Open', targets.idle + targets.progressing),
    figure('Attempts', attempts),
    figure('Released, never dialed', released),
    figure('Penetration', percent(attempted, targets.total)),
    figure('Connect rate', percent(answered, attempts - under_way)),
  ];
  return `<h2>Totals</h2><div class="figures">${figures.join('')}</div>`;
}

/** Attempts by the minute they started in; of a long period, by longer steps. */
class Times {
  private readonly minutes = new Map<number, number>();

  add({ tmStart }: Attempt): void {
    const minute = Math.floor(tmStart / MINUTE);
    this.minutes.set(minute, (this.minutes.get(minute) ?? 0) + 1);
  }

  bars(): readonly (readonly [label: string, attempts: number])[] {
    const known = [...this.minutes.keys()];
    if (known.length === 0) return [];
    // Not by spreading into Math.min: a list may have been dialed for years.
    const first = known.reduce((a, b) => Math.min(a, b));
    const last = known.reduce((a, b) => Math.max(a, b));
    const step = Math.ceil((last - first + 1) / BARS);
    const counts = Array.from({ length: Math.ceil((last - first + 1) / step) }, () => 0);
    for (const [minute, count] of this.minutes) {
      const at = Math.floor((minute - first) / step);
      counts[at] = (counts[at] ?? 0) + count;
    }
    return counts.map((count, at) => [formatMicros((first + at * step) * MINUTE).slice(5, 16), count]);
  }
}

const TEXT = { fontFamily: 'system-ui, sans-serif', color: '#1c2430' };

/** Draws a plot as SVG, `width` pixels wide. */
type Plot = (width: number, option: EChartsCoreOption) => string;

/** Loaded when a page is made: the library takes longer to load than most reports to make. */
async function loadPlot(): Promise<Plot> {
  const echarts = await import('echarts');
  return (width, option) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height: 260 });
    chart.setOption({ animation: false, textStyle: TEXT, ...option });
    const svg = chart.renderToSVGString();
    chart.dispose();
    return svg;
  };
}

function plots(plot: Plot, { byOutcome }: AuditSummary, times: Times): string {
  const bars = times.bars();
  if (bars.length === 0) return '';
  const shares = Object.entries(byOutcome).map(([name, value]) => ({ name: `${name.replace(/_/g, ' ')} (${value})`, value }));
  const overTime = plot(600, {
    title: { text: 'Attempts over time', textStyle: { ...TEXT, fontSize: 13 } },
    grid: { left: 48, right: 16, top: 40, bottom: 40 },
    xAxis: { type: 'category', data: bars.map(([label]) => label) },
    yAxis: { type: 'value', minInterval: 1 },
    series: [{ type: 'bar', data: bars.map(([, count]) => count), color: '#2f6fde', barMaxWidth: 40 }],
  });
  const outcomes = plot(400, {
    title: { text: 'Outcomes', textStyle: { ...TEXT, fontSize: 13 } },
    series: [{ type: 'pie', radius: ['30%', '55%'], center: ['50%', '58%'], data: shares, label: { fontSize: 11, overflow: 'none' } }],
  });
  return `<h2>Plots</h2><div class="plots">${overTime}${outcomes}</div>`;
}

const TABLE_HEAD = `<h2>Attempts</h2><table><thead><tr><th>Started</th><th>Ended</th><th>Name</th><th>External id</th><th>Called</th><th>Try</th>
<th>Outcome</th><th>Disposition</th><th>Dialer</th></tr></thead><tbody>`;

const shown = ({ type, target }: Address): string => (type === 'tel' ? target : `${type}: ${target}`);

function tableRow({ attempt, target, chainOk }: AuditedAttempt): string {
  const outcome = `${attempt.outcome ?? 'under way'}${attempt.late ? ', late' : ''}`.replace(/_/g, ' ');
  const cells = [
    formatMicros(attempt.tmStart).slice(0, 19),
    attempt.tmEnd === null ? '' : formatMicros(attempt.tmEnd).slice(0, 19),
    escaped(target.name),
    escaped(target.externalId ?? ''),
    escaped(shown(attempt.destination)),
    `${attempt.tryCount} of ${attempt.tryCountMax}`,
    outcome,
    escaped(attempt.disposition ?? ''),
    escaped(attempt.dialer),
  ];
  const mark = chainOk ? '' : ' class="broken" title="the record of this target was changed"';
  return `<tr>${cells.map((cell) => `<td${mark}>${cell}</td>`).join('')}</tr>\n`;
}
