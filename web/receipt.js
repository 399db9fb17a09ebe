// Receipt: what an answer took, for people: figures first, then every decision, call and verdict, then the raw form.
import { h, table } from '/web/dom.js';
import { digits, duration, money, plural, size, whole } from '/web/units.js';

const figure = (name, value, more) => h('div', null, h('dt', null, name), h('dd', null, value, more && h('span', { class: 'more' }, more)));
const section = (title, ...content) => h('section', null, h('h3', null, title), ...content.flat());
const facts = (pairs) => h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
  .flatMap(([name, value]) => [h('dt', null, name), h('dd', null, value)]));
const sum = (calls, field) => calls.reduce((total, call) => total + (call[field] ?? 0), 0);

const STATES = { complete: 'complete', incomplete: 'ended early', refused: 'refused', failed: 'failed', cancelled: 'stopped' };

function leftWords({ left }) {
  return left.requests ? [size(left.bytes), `${plural(left.requests, 'request')} to ${left.to.join(', ')}`] : ['nothing', 'every word stayed here'];
}

function figures(r) {
  const prompt = sum(r.calls, 'prompt_tokens'), written = sum(r.calls, 'completion_tokens'), cost = r.cost;
  return h('dl', { class: 'figures' },
    figure('Cost', money(cost.total, cost.currency), cost.saved > 0 ? `saved ${money(cost.saved, cost.currency)}` : 'nothing saved'),
    figure('Tokens', whole(prompt + written), `${whole(prompt)} read, ${whole(written)} written`),
    figure('Time', duration(r.timing_us.total / 1000), r.timing_us.first > 0 && `first words after ${duration(r.timing_us.first / 1000)}`),
    figure('Left the machine', ...leftWords(r)));
}

function decisions(r) {
  return r.decisions.length > 0 && section('Decisions', table('Decisions', ['by', 'choice', 'signal', '#score', '#threshold'],
    r.decisions.map((d) => [d.by, d.choice, d.signal ?? '–', digits(d.score), digits(d.threshold)]), { hideCaption: true }),
    r.decisions.filter((d) => d.detail).map((d) => h('p', { class: 'small soft' }, `${d.by}: ${d.detail}`)));
}

function verdicts(r) {
  return r.guards.length > 0 && section('Guards', table('Guards', ['by', 'looked at', 'verdict', 'rule', '#score'],
    r.guards.map((g) => [g.by, g.stage, g.verdict, g.rule ?? '–', digits(g.score)]), { hideCaption: true }));
}

function calls(r) {
  return r.calls.length > 0 && section('Calls of models', table('Calls of models', ['model', 'for', '#read', '#written', '#cost', '#time'],
    r.calls.map((c) => [c.model, [c.purpose, c.attempt > 1 && `try ${c.attempt}`, c.status !== 'ok' && c.status].filter(Boolean).join(', '), whole(c.prompt_tokens), whole(c.completion_tokens),
      digits(c.cost), duration(c.us / 1000)]), { hideCaption: true }));
}

function drafts(r) {
  const drafted = sum(r.calls, 'drafted');
  return drafted > 0 && section('Speculation', facts([['drafted', plural(drafted, 'token')], ['accepted', whole(sum(r.calls, 'accepted'))],
    ['passes', whole(sum(r.calls.filter((c) => c.purpose === 'verify'), 'passes'))]]));
}

function masked(r) {
  const types = Object.entries(r.left.entities);
  return (types.length > 0 || r.left.method !== 'none') && section('Hidden from models outside the mask',
    facts([['method', `${r.left.method}, level ${r.left.level}`], ...types.map(([type, n]) => [type, whole(n)]),
      ['put back', whole(r.left.restored)], ['not put back', r.left.missed_restores || ''],
      ['risk of something missed', r.left.risk ? `${(100 * r.left.risk).toFixed(0)} %` : '']]));
}

function wishes({ objective: o }) {
  return [o.quality !== null && `quality ${o.quality}`, o.max_cost !== null && `cost at most ${o.max_cost}`, o.privacy > 0 && `privacy ${o.privacy}`,
    o.trust > 0 && `trust ${o.trust}`, o.max_latency_ms && `${o.max_latency_ms} ms`, o.strict && 'strict'].filter(Boolean).join(', ') || 'none';
}

function fine(r) {
  const c = r.certificate;
  return section('In force', facts([['state', (STATES[r.state] ?? r.state) + (r.error ? ` (${r.error})` : '')], ['asked for', r.requested], ['answered by', r.served],
    ['wishes', wishes(r)], ['certificate', c ? `${c.id}${c.held === false ? ', suspended' : ''}` : 'none'], ['cache', r.cache], ['key of', r.tenant],
    ['seed', String(r.seed)], ['overhead', duration(r.timing_us.overhead / 1000)]]));
}

const warnings = (r) => r.warnings.length > 0 && section('Notes', h('ul', { class: 'small' },
  r.warnings.map((w) => h('li', null, `${w.message ?? w.code}${w.param ? ` (${w.param})` : ''}`))));

const hashes = (r) => h('details', null, h('summary', null, 'Hashes'),
  h('div', { class: 'mono' }, facts(Object.entries(r.hashes).map(([name, value]) => [name, value ?? 'none']))));

function raw(receipt, text) {
  const copied = h('span', { role: 'status', class: 'small soft' });
  const copy = h('button', { type: 'button', class: 'quiet', onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copied.textContent = ' Copied.';
    } catch {
      copied.textContent = ' The browser does not allow it; the text can be selected.';
    }
  } }, 'Copy');
  return h('details', { class: 'raw-form' }, h('summary', null, 'Raw JSON'),
    h('pre', { class: 'raw', tabindex: '0', role: 'group', 'aria-label': 'The receipt as JSON' }, text), copy, copied);
}

export function receiptView(receipt) {
  return [figures(receipt), decisions(receipt), verdicts(receipt), calls(receipt), drafts(receipt), masked(receipt), warnings(receipt), fine(receipt),
    hashes(receipt), raw(receipt, JSON.stringify(receipt, null, 2).replace(/"seed": "(\d+)"/, '"seed": $1'))].filter(Boolean);
}
