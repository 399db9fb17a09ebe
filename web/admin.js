// The admin page: asks for the figures every two seconds while it is looked at, and shows them.
import { ApiError, getJson } from '/web/api.js';
import { find, h } from '/web/dom.js';
import { showKeyField } from '/web/key.js';
import { Plot } from '/web/plot.js';
import { showTables } from '/web/tables.js';
import { clock, digits, duration, money, plural, share, size, whole } from '/web/units.js';

const EVERY_MS = 2000;
const state = { paused: false, timer: 0 };

const busy = (time, value) => (time.requests ? value : null);
const plots = [
  new Plot(find('plot-requests'), { title: 'Requests', kind: 'bars', whole: true, format: whole, series: [
    { name: 'answered', tone: 0, value: (t) => t.requests - t.failed }, { name: 'failed', tone: 'bad', value: (t) => t.failed }] }),
  new Plot(find('plot-latency'), { title: 'Time for an answer', unit: 'ms', kind: 'lines', format: (v) => digits(v), series: [
    { name: 'p50', tone: 0, value: (t) => t.p50_ms }, { name: 'p99', tone: 1, value: (t) => t.p99_ms }] }),
  new Plot(find('plot-cost'), { title: 'Cost', unit: 'money', kind: 'lines', format: (v) => digits(v, 2), series: [
    { name: 'spent', tone: 1, value: (t) => busy(t, t.cost) }, { name: 'saved', tone: 0, value: (t) => busy(t, t.saved) }] }),
  new Plot(find('plot-tokens'), { title: 'Tokens', kind: 'bars', whole: true, format: whole, series: [
    { name: 'read', tone: 2, value: (t) => t.prompt_tokens }, { name: 'written', tone: 1, value: (t) => t.completion_tokens }] }),
  new Plot(find('plot-privacy'), { title: 'Leaks prevented', unit: 'values masked', kind: 'bars', whole: true, format: whole, series: [
    { name: 'masked', tone: 0, value: (t) => t.entities }] }),
];

const tile = (name, value, more) => h('div', null, h('dt', null, name), h('dd', null, value, h('span', { class: 'more' }, more)));

function showTiles(stats) {
  const none = { requests: 0, failed: 0, prompt_tokens: 0, completion_tokens: 0, cost: 0, saved: 0, p50_ms: null, p99_ms: null };
  const t = stats.totals[0] ?? none, count = (name) => stats.counters[name] ?? 0, baseline = t.cost + t.saved;
  const blocked = count('egress_blocked') + count('privacy_refused');
  find('figures').replaceChildren(
    tile('Requests', whole(t.requests), `${whole(t.failed)} failed or refused`),
    tile('Spent', money(t.cost, stats.currency), `${plural(t.requests, 'request')}`),
    tile('Saved', money(t.saved, stats.currency), t.saved > 0 ? `${share(t.saved, baseline)} of the dearest model's price` : 'against the dearest model'),
    tile('Leaks prevented', whole(count('entities') + blocked), `${whole(count('entities'))} masked, ${whole(blocked)} blocked`),
    tile('Left the machine', size(count('left_bytes')), `in ${plural(count('left_requests'), 'request')}`),
    tile('Stopped by guards', whole(count('guard_blocks')), 'questions or answers'),
    tile('Time, median', duration(t.p50_ms), `p99 ${duration(t.p99_ms)}`),
    tile('Tokens', whole(t.prompt_tokens + t.completion_tokens), `${whole(t.completion_tokens)} of them written`));
}

function show(stats) {
  const { live } = stats;
  find('updated').textContent = `as of ${clock(stats.now, true)}`;
  find('load').textContent = `${plural(live.requests.length, 'request')} running, ${whole(live.waiting)} waiting; ${plural(live.workers, 'worker')}${live.draining ? '; about to stop' : ''}`;
  showTiles(stats);
  for (const plot of plots) plot.update(stats.times, plot.title === 'Cost' ? stats.currency : undefined);
  showTables(stats);
}

function problem(text) {
  find('problem').hidden = !text;
  if (find('problem').textContent !== text) find('problem').textContent = text;
}

async function refresh() {
  clearTimeout(state.timer);
  let again = !state.paused;
  try {
    show(await getJson(`/admin/stats/${document.querySelector('input[name=window]:checked').value}`));
    problem('');
  } catch (error) {
    problem(error instanceof ApiError ? error.message : `Something in this page failed: ${error.message}`);
    if (error instanceof ApiError && [401, 403].includes(error.status)) {
      showKeyField(refresh);
      again = false;
    }
  }
  clearTimeout(state.timer);
  if (again) state.timer = setTimeout(() => document.visibilityState === 'visible' && refresh(), EVERY_MS);
}

find('pause').addEventListener('click', () => {
  state.paused = !state.paused;
  find('pause').setAttribute('aria-pressed', state.paused);
  find('pause').textContent = state.paused ? 'Go on' : 'Pause';
  if (state.paused) clearTimeout(state.timer);
  else refresh();
});
for (const input of document.querySelectorAll('input[name=window]')) input.addEventListener('change', refresh);
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && !state.paused && refresh());
refresh();
