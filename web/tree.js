// Tree: the model that was chosen and everything it is made of, as a drawing, with the path that an answer took.
// What is not on the path stays thin and dashed, so that the path does not hang on colours. Beside the drawing there is
// the same as a list for those who hear the page.
import { look } from '/web/authors.js';
import { h, svg } from '/web/dom.js';
import { digits, duration, plural } from '/web/units.js';

const ROW = 54, BOX = 44, INDENT = 22, MOST_ROWS = 60, CHARACTER = 6.6;

function collect(models, id, role, depth, parent, rows) {
  const model = models.get(id);
  if (!model || rows.length >= MOST_ROWS) return rows;
  const row = { model, role, depth, parent, at: rows.length, used: false, did: '' };
  rows.push(row);
  for (const part of model.parts) collect(models, part.id, part.role, depth + 1, row, rows);
  return rows;
}

// A judge is called for a guard, everybody else for the answer: that tells two places of one model apart.
const isCallOf = (row) => (call) => call.model === row.model.id && (call.purpose === 'guard') === (row.role === 'judge');

function callWords(calls, wrote) {
  const tokens = calls.reduce((sum, c) => sum + c.prompt_tokens + c.completion_tokens, 0);
  const us = calls.reduce((sum, c) => sum + c.us, 0);
  const fate = calls.every((c) => c.status === 'discarded') ? 'dropped' : calls.every((c) => c.status === 'failed') ? 'failed' : '';
  return [wrote && 'wrote', fate, plural(tokens, 'token'), duration(us / 1000)].filter(Boolean).join(' · ');
}

function decisionWords(d) {
  const score = d.score === null ? '' : ` · ${d.signal ?? 'score'} ${digits(d.score)}`;
  return d.choice + score + (d.threshold === null ? '' : ` of ${digits(d.threshold)}`);
}

// The receipt counts what was hidden once for all masks.
function maskWords({ left }) {
  const n = Object.values(left.entities).reduce((sum, count) => sum + count, 0);
  return `${plural(n, 'value')} hidden, ${left.restored} put back · level ${left.level}`;
}

function describe(row, receipt, authors) {
  const id = row.model.id;
  const calls = receipt.calls.filter(isCallOf(row));
  const decisions = receipt.decisions.filter((d) => d.by === id);
  const verdicts = receipt.guards.filter((g) => g.by === id);
  row.wrote = calls.some((c) => c.purpose !== 'guard') && authors.includes(id);
  row.used = calls.length + decisions.length + verdicts.length > 0 || row.at === 0;
  row.did = [...decisions.map(decisionWords), ...verdicts.map((v) => `${v.stage} ${v.verdict}`),
    ...(calls.length ? [callWords(calls, row.wrote)] : [])].join(' · ');
}

// A row below which something was used is on the path itself.
function mark(rows, answer) {
  if (!answer) return;
  for (const row of rows) describe(row, answer.receipt, answer.authors);
  for (const row of [...rows].reverse()) if (row.used && row.parent) row.parent.used = true;
  for (const row of rows) {
    if (row.used && row.model.kind === 'mask' && answer.receipt.left.method !== 'none') row.did ||= maskWords(answer.receipt);
    row.did ||= row.used ? 'on the path' : 'not asked';
  }
}

const cut = (text, width) => (text.length * CHARACTER <= width ? text : `${text.slice(0, Math.max(1, Math.floor(width / CHARACTER) - 1))}…`);
const shortName = (row) => (row.parent && row.model.id === `${row.parent.model.id}.${row.role}` ? row.model.kind : row.model.id);

function edge(row) {
  const x = (row.depth - 1) * INDENT + 10, y = row.at * ROW + BOX / 2, from = row.parent.at * ROW + BOX;
  return svg('path', { class: `edge${row.used ? ' used' : ''}`, d: `M${x} ${from}V${y - 8}q0 8 8 8h4` });
}

function node(row, width) {
  const x = row.depth * INDENT, y = row.at * ROW, box = width - x - 1, name = shortName(row);
  const kind = [row.role, name === row.model.kind ? '' : row.model.kind].filter(Boolean).join(' · ');
  return svg('g', { class: `node${row.used ? ' used' : ''}` },
    svg('title', null, sentence(row)),
    svg('rect', { x: x + 0.5, y: y + 0.5, width: box, height: BOX, rx: 9 }),
    row.wrote && svg('circle', { class: `mark look-${look(row.model.id)}`, cx: x + 15, cy: y + 16, r: 5 }),
    svg('text', { class: 'name', x: x + (row.wrote ? 26 : 11), y: y + 20 }, cut(name, box - 40 - kind.length * CHARACTER)),
    svg('text', { class: 'kind', x: width - 11, y: y + 20, 'text-anchor': 'end' }, kind),
    svg('text', { class: 'did', x: x + 11, y: y + 36 }, cut(row.did || row.model.summary, box - 20)));
}

const sentence = (row) => `${row.model.id}, ${row.model.kind}${row.role ? `, as ${row.role}` : ''}: ${row.did || row.model.summary}`;

// answer: {receipt, authors}, or null before there is one.
export function drawTree(place, models, root, answer) {
  const rows = collect(models, root, '', 0, null, []), width = Math.max(260, place.clientWidth);
  mark(rows, answer);
  const height = rows.length * ROW - (ROW - BOX) + 2;
  const edges = [...rows].sort((a, b) => a.used - b.used).filter((row) => row.parent);
  place.replaceChildren(
    svg('svg', { class: answer ? 'tree-shown' : '', viewBox: `0 0 ${width} ${height}`, height, 'aria-hidden': 'true' },
      edges.map(edge), rows.map((row) => node(row, width))),
    h('ul', { class: 'unseen', 'aria-label': 'The models in order' }, rows.map((row) => h('li', null, sentence(row)))));
}
