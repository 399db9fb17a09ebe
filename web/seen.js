// Seen outside: asks with tandem.seen, and puts what the models received beside what the person wrote. Every text becomes
// text nodes; what has the shape of a token gets a look of its own, on the side of the models only.
import { ApiError, chatChunks, getJson } from '/web/api.js';
import { find, h } from '/web/dom.js';
import { showKeyField } from '/web/key.js';
import { plural } from '/web/units.js';

const EXAMPLE = 'Confirm the phone number and the order number to Tina Ortiz in two sentences.\nMira Lind works as a pilot. '
  + 'Write to her at mira57@mail.example.com. Tina Ortiz lives in Krakow. She asks about order 9689. Call her at 779-861-1307.';
const SHAPES = /([A-Z]{2,12}_[0-9A-HJKMNP-TV-Z]{8}|\[SECRET:[a-z-]+\])/;
const messages = [];
let running = null;

const say = (text) => (find('status').textContent = text);

function complain(error) {
  const text = error instanceof ApiError ? error.message : error ? `Something in this page failed: ${error.message}` : '';
  find('problem').textContent = text;
  find('problem').hidden = !text;
  if (error instanceof ApiError && (error.status === 401 || error.code === 'admin_required')) showKeyField(load);
}

// A text with its tokens and marks made visible.
const marked = (text) => text.split(SHAPES).map((part, i) => (i % 2 === 0 ? part
  : h('span', { class: part.startsWith('[') ? 'mark' : 'token', title: part.startsWith('[') ? 'a secret stood here' : 'stands for a private value' }, part)));

const words = (by, text, tokens) => [h('span', { class: 'by small' }, by), h('p', { class: 'words' }, tokens ? marked(text) : text)];

function callView(call) {
  return [h('h3', null, `${call.model} ${call.leaves ? '(outside this machine)' : '(on this machine)'}`),
    call.asked.flatMap((m) => words(`received as ${m.role}`, m.content, true)), words('wrote', call.said, true)];
}

function countsView(left) {
  const forms = { token: 'as a token', mark: 'as a mark', clear: 'in clear' };
  const rows = (left?.values ?? []).map((v) => `${v.type} ${forms[v.as] ?? v.as}`);
  const counted = [...new Set(rows)].map((row) => `${rows.filter((r) => r === row).length} × ${row}`);
  const sent = left?.requests ? `${plural(left.requests, 'request')}, ${plural(left.bytes, 'byte')} left this machine.` : 'Nothing left this machine.';
  return h('p', { class: 'counts small' }, [sent, counted.length ? `Private values shown to the model: ${counted.join(', ')}.` : 'No private value was found.'].join(' '));
}

class Turn {
  constructor(question) {
    const n = find('turns').childElementCount + 1;
    this.answer = h('p', { class: 'words' });
    this.outside = h('section', { class: 'side card outside', 'aria-label': `What the models saw, message ${n}` }, h('h2', null, 'What the models saw'), h('p', { class: 'soft small' }, 'Shown when the answer is complete.'));
    this.place = h('div', { class: 'turn' },
      h('section', { class: 'side card inside', 'aria-label': `What you see, message ${n}` }, h('h2', null, 'What you see'), words('you', question, false),
        h('span', { class: 'by small' }, 'answer'), this.answer), this.outside);
    find('turns').prepend(this.place);
  }

  finish(receipt) {
    const calls = receipt?.seen ?? [];
    this.outside.replaceChildren(h('h2', null, 'What the models saw'), ...calls.flatMap(callView).flat(),
      ...(calls.length ? [] : [h('p', { class: 'soft small' }, 'No model was asked.')]),
      ...(receipt?.seen_cut ? [h('p', { class: 'notice' }, 'There was more than this page is given.')] : []), countsView(receipt?.left));
  }
}

async function load() {
  try {
    const [list, tree] = await Promise.all([getJson('/v1/models'), getJson('/v1/tree')]);
    const kinds = new Map(tree.models.map((m) => [m.id, m.kind]));
    find('model').replaceChildren(...list.data.map((m) => h('option', { value: m.id }, m.id === kinds.get(m.id) ? m.id : `${m.id} (${kinds.get(m.id)})`)));
    const mask = list.data.find((m) => kinds.get(m.id) === 'mask');
    if (mask) find('model').value = mask.id;
    complain(null);
    find('question').focus();
  } catch (error) {
    complain(error);
    if (error.status === 503) setTimeout(load, 1000); // the models are still being loaded
  }
}

async function stream(turn, body) {
  let receipt = null;
  for await (const chunk of chatChunks(body, running.signal)) {
    const piece = chunk.choices?.[0]?.delta?.content;
    if (piece) turn.answer.append(piece);
    if (chunk.tandem?.receipt) receipt = chunk.tandem;
  }
  return receipt;
}

async function ask(question) {
  if (running || !question.trim()) return;
  running = new AbortController();
  complain(null);
  find('question').value = '';
  messages.push({ role: 'user', content: question });
  const turn = new Turn(question);
  say('Waiting for the answer.');
  try {
    turn.finish(await stream(turn, { model: find('model').value, messages, stream: true, tandem: { seen: true } }));
    messages.push({ role: 'assistant', content: turn.answer.textContent });
    say('Answer complete.');
  } catch (error) {
    messages.pop();
    turn.finish(error.receipt);
    say(error.name === 'AbortError' ? 'Stopped.' : '');
    if (error.name !== 'AbortError') complain(error);
  }
  running = null;
  find('clear').hidden = false;
}

find('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  ask(find('question').value);
});
find('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(find('question').value);
});
document.addEventListener('keydown', (event) => event.key === 'Escape' && running?.abort());
find('example').addEventListener('click', () => {
  find('question').value = EXAMPLE;
  find('question').focus();
});
find('clear').addEventListener('click', () => {
  messages.length = 0;
  find('turns').replaceChildren();
  find('clear').hidden = true;
  find('question').focus();
});
load();
