// Tables of the admin page. Each is drawn again only when its rows have changed, so that a selection in it survives.
import { find, h, table } from '/web/dom.js';
import { clock, digits, duration, share, whole } from '/web/units.js';

const drawn = new Map();
const linked = (id) => h('a', { class: 'mono', href: `/#${id}` }, id);

function show(id, caption, columns, rows, otherwise) {
  const state = JSON.stringify(rows, (_, value) => (value instanceof Node ? value.textContent : value));
  if (drawn.get(id) === state) return;
  drawn.set(id, state);
  find(id).replaceChildren(rows.length ? table(caption, columns, rows, { hideCaption: true }) : h('p', { class: 'small soft' }, otherwise));
}

const tokens = (row) => [whole(row.prompt_tokens), whole(row.completion_tokens)];
const times = (row) => [duration(row.p50_ms), duration(row.p99_ms)];

export function showTables(stats) {
  const spent = `#spent, ${stats.currency}`, saved = `#saved, ${stats.currency}`;
  const whoAsked = (row) => [row.name, whole(row.requests), whole(row.failed), ...tokens(row), digits(row.cost), digits(row.saved), ...times(row)];
  const columns = ['#requests', '#failed', '#tokens read', '#written', spent, saved, '#p50', '#p99'];
  show('asked', 'By model asked for', ['model', ...columns], stats.requested.map(whoAsked), 'Nobody has asked yet.');
  show('keys', 'By key', ['key', ...columns], stats.keys.map(whoAsked), 'Nobody has asked yet.');
  show('models', 'By model called', ['model', '#calls', '#failed', '#tokens read', '#written', spent, '#share of cost', '#p50', '#p99'],
    stats.models.map((row) => [row.name, whole(row.requests), whole(row.failed), ...tokens(row), digits(row.cost),
      share(row.cost, stats.models.reduce((sum, m) => sum + m.cost, 0)), ...times(row)]), 'No model was called yet.');
  show('entities', 'What the masks hid', ['type', '#values'], Object.entries(stats.entities).map(([type, n]) => [type, whole(n)]),
    'Nothing was masked in this time.');
  show('recent', 'Latest requests', ['at', 'model', 'answered by', 'state', '#tokens', `#${stats.currency}`, '#time', 'receipt'],
    stats.recent.map((r) => [clock(r.created, true), r.requested ?? '–', r.served ?? '–', r.error ? `${r.state}: ${r.error}` : r.state,
      whole(r.tokens), digits(r.cost), duration(r.ms), linked(r.receipt)]), 'Nobody has asked yet.');
  show('live', 'Running now', ['model', 'endpoint', '#for', 'receipt'],
    stats.live.requests.map((r) => [r.model, r.endpoint, duration(r.ms), r.receipt]), 'No request is being answered.');
}
