// The status page works without this file, as it was when it was loaded. This draws the charts and tells whether the page is live;
// htmx brings the rest up to date.
(() => {
  'use strict';
  const kept = 900; // as the daemon keeps
  const samples = [];
  const plots = new Map();
  const element = id => document.getElementById(id);
  const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const brief = v => v == null ? '–' : Math.abs(v) >= 100 ? v.toFixed(0) : Math.abs(v) >= 10 ? v.toFixed(1) : String(+v.toFixed(2));

  const charts = {
    events: {value: s => s.events},
    lag: {value: s => s.lag, dots: true},
    batch: {value: s => s.batch, dots: true},
    replicas: {value: s => s.replicas, paths: () => uPlot.paths.stepped({align: 1})},
    drift: {paths: () => uPlot.paths.bars({size: [0.6, 40]})},
  };

  // data returns the columns that a chart shows.
  function data(name) {
    if (name !== 'drift') return [samples.map(s => s.at), samples.map(charts[name].value)];
    const rows = [...document.querySelectorAll('#passes tr[data-kind="full"]')].reverse();
    return [rows.map((_, i) => i + 1), rows.map(r => +r.dataset.drift)];
  }

  function options(name, box) {
    const muted = color('--muted'), line = color('--line'), accent = color('--accent');
    const axis = {stroke: muted, grid: {stroke: line, width: 1}, ticks: {show: false}, font: '11px system-ui, sans-serif', size: 22, gap: 4};
    const ordinal = name === 'drift';
    return {
      width: box.clientWidth, height: 128, legend: {show: false}, cursor: {show: false}, padding: [10, 20, ordinal ? 8 : 0, 0],
      scales: {
        x: {time: !ordinal, range: ordinal ? (_, min, max) => [(min ?? 1) - 0.6, (max ?? 1) + 0.6] : undefined},
        y: {range: (_, min, max) => [0, Math.max(max ?? 0, name === 'lag' ? 0.1 : 1) * 1.15]},
      },
      axes: [ordinal ? {...axis, show: false} : {...axis, values: clock}, {...axis, size: 38}],
      series: [{}, {
        stroke: accent, width: 2, fill: color('--fill'), spanGaps: !!charts[name].dots, points: {show: !!charts[name].dots, size: 4, fill: accent},
        ...(charts[name].paths ? {paths: charts[name].paths()} : {}),
      }],
    };
  }

  // clock tells the times of an axis, with seconds where minutes would repeat.
  function clock(_, ticks) {
    const end = ticks.length > 1 && ticks[1] - ticks[0] < 60 ? 19 : 16;
    return ticks.map(t => new Date(t * 1000).toISOString().slice(11, end));
  }

  function draw(name) {
    const box = element('chart-' + name), columns = data(name);
    const last = columns[1].findLast(v => v != null);
    element('now-' + name).textContent = brief(last);
    box.setAttribute('aria-label', box.previousElementSibling.firstChild.textContent.trim() + ', now ' + brief(last));
    if (columns[0].length < (name === 'drift' ? 1 : 2)) {
      if (!box.firstChild) box.append(Object.assign(document.createElement('p'), {textContent: name === 'drift' ? 'No full pass yet' : 'Collecting…'}));
      return;
    }
    if (plots.has(name)) return plots.get(name).setData(columns);
    box.replaceChildren();
    plots.set(name, new uPlot(options(name, box), columns, box));
  }

  function drawAll() { Object.keys(charts).forEach(draw); }

  function redraw() {
    plots.forEach(p => p.destroy());
    plots.clear();
    drawAll();
  }

  function add(some) {
    const last = samples.length ? samples[samples.length - 1].at : 0;
    samples.push(...some.filter(s => s.at > last));
    samples.splice(0, samples.length - kept);
  }

  function tell(state, text) {
    element('line').dataset.state = state;
    element('line').textContent = text;
  }

  document.addEventListener('DOMContentLoaded', async () => {
    const stream = element('stream');
    for (const name of ['htmx:sse:after:connection', 'htmx:sse:after:message']) {
      document.addEventListener(name, () => tell('live', 'live'));
    }
    for (const name of ['htmx:sse:error', 'htmx:sse:close', 'htmx:sse:before:connection']) {
      document.addEventListener(name, () => { if (element('line').dataset.state === 'live') tell('lost', 'the daemon does not answer: this page is old'); });
    }
    let told;
    new MutationObserver(() => {
      clearTimeout(told);
      if (element('told').firstChild) told = setTimeout(() => element('told').replaceChildren(), 8000);
    }).observe(element('told'), {childList: true});
    document.addEventListener('keydown', e => { if (e.key === 'Escape') element('told').replaceChildren(); });
    if (!element('chart-events')) return;
    stream.addEventListener('samples', e => { add(JSON.parse(e.detail.data)); drawAll(); });
    stream.addEventListener('htmx:sse:after:message', () => draw('drift'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    let width = innerWidth;
    addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
    add(await (await fetch('/api/samples')).json());
    drawAll();
  });
})();
