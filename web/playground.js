// The playground: holds what the page knows (models, conversation, the answer that is shown) and ties its parts together.
import { ApiError, chatChunks, getJson } from '/web/api.js';
import { look } from '/web/authors.js';
import { find, h } from '/web/dom.js';
import { showKeyField } from '/web/key.js';
import { receiptView } from '/web/receipt.js';
import { drawTree } from '/web/tree.js';
import { Turn } from '/web/turn.js';
import { duration, money } from '/web/units.js';

const MESSAGE = 'Confirm the phone number and the order number to Tina Ortiz in two sentences.\nMira Lind works as a pilot. '
  + 'Write to her at mira57@mail.example.com. Tina Ortiz lives in Krakow. She asks about order 9689. Call her at 779-861-1307.';
const EXAMPLES = [['What is the capital of France?'], ['Sort in ascending order: 41 7 93 25'], ['Reverse: 3 7 7 5'], ['A message with personal data', MESSAGE]];
const models = new Map(); // of the tree, by name
const messages = [];      // of the conversation so far
let width = 0;            // of the tree's place
let running = null;       // the AbortController of the answer that is coming
let shown = null;         // {root, receipt, authors} of the answer on the right

const chosen = () => find('model').value;

function redraw() {
  if (!models.size) return;
  const answer = shown && shown.root === chosen() ? shown : null;
  find('tree-state').textContent = answer ? 'what this answer used' : 'what may be asked';
  drawTree(find('tree'), models, chosen(), answer);
}

function showModel() {
  const model = models.get(chosen());
  find('model-summary').textContent = model ? `${model.kind}: ${model.summary}.${model.leaves ? ' Words may leave this machine.' : ' Stays on this machine.'}` : '';
  redraw();
}

function showReceipt(receipt) {
  find('receipt-id').textContent = receipt.receipt;
  find('receipt').replaceChildren(...receiptView(receipt));
}

// --- loading

function say(text) {
  find('status').textContent = text;
}

function explain(error) {
  if (error instanceof ApiError && error.status === 401) showKeyField(() => load().then(() => find('question').focus()));
  return error instanceof ApiError ? error.message : `Something in this page failed: ${error.message}`;
}

async function load() {
  try {
    const [list, tree] = await Promise.all([getJson('/v1/models'), getJson('/v1/tree')]);
    models.clear();
    for (const model of tree.models) models.set(model.id, model);
    for (const model of tree.models) if (model.family === 'source') look(model.id); // the same colours whoever writes first
    find('model').replaceChildren(...list.data.map((m) => h('option', { value: m.id },
      m.id === m.tandem.kind ? m.id : `${m.id} (${m.tandem.kind})`)));
    say('');
    showModel();
    await showLinked();
  } catch (error) {
    say(explain(error));
    if (error.status === 503) setTimeout(load, 1000); // the models are still being loaded
  }
}

// The address may name a receipt, as the admin page's links do.
async function showLinked() {
  const id = location.hash.slice(1);
  if (!/^rcp_\w+$/.test(id)) return;
  const receipt = await getJson(`/v1/receipts/${id}`);
  if (models.has(receipt.requested)) find('model').value = receipt.requested;
  shown = { root: receipt.requested, receipt, authors: [receipt.served] };
  showReceipt(receipt);
  showModel();
}

// --- asking

function wishes() {
  const number = (id) => (find(id).value === '' ? undefined : Number(find(id).value));
  return { trace: true, quality: number('quality'), max_cost: number('max-cost'), privacy: Number(find('privacy').value), trust: Number(find('trust').value) };
}

function setRunning(controller) {
  running = controller;
  find('stop').hidden = !controller;
  find('send').hidden = Boolean(controller);
  find('clear').hidden = Boolean(controller) || !messages.length;
}

// The receipt that goes inline is cut when it is long; the stored one is whole, and a moment later there.
async function storedReceipt(id) {
  for (let tries = 0; id && tries < 10; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    try {
      const receipt = await getJson(`/v1/receipts/${encodeURIComponent(id)}`);
      if (receipt.state !== 'running') return receipt;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) return null;
    }
  }
  return null;
}

function showAnswer(turn, root, receipt) {
  if (!receipt?.calls) return;
  shown = { root, receipt, authors: turn.authors };
  showReceipt(receipt);
  redraw();
}

async function stream(turn, body, controller) {
  const got = { id: null, receipt: null, finish: null };
  try {
    for await (const chunk of chatChunks(body, controller.signal, (id) => (got.id = id))) {
      const choice = chunk.choices?.[0];
      if (choice?.delta?.content) turn.add(choice.delta.content, chunk.tandem?.author ?? chunk.model, chunk.tandem?.drafter);
      if (choice?.finish_reason) got.finish = choice.finish_reason;
      if (chunk.tandem?.receipt) got.receipt = chunk.tandem;
    }
  } catch (error) {
    if (error.name === 'AbortError') got.stopped = true;
    else got.error = error;
    got.receipt = error.receipt ?? null;
  }
  if (!got.receipt?.calls || got.receipt.truncated) got.receipt = (await storedReceipt(got.receipt?.receipt ?? got.id)) ?? got.receipt;
  return got;
}

const ENDS = { length: 'ended at its length limit', content_filter: 'ended by a guard' };

function close(turn, got) {
  const r = got.receipt;
  const figures = r?.cost ? `${duration(r.timing_us.total / 1000)}, ${money(r.cost.total, r.cost.currency)}` : '';
  if (got.error) turn.fail(explain(got.error));
  else turn.finish([got.stopped ? 'stopped by you' : ENDS[got.finish], figures].filter(Boolean).join(' · '));
  say(got.error ? '' : got.stopped ? 'Stopped.' : `Answer complete, written by ${turn.authors.join(' and ') || 'nobody'}.`);
}

async function ask(question) {
  if (running || !question.trim()) return;
  const root = chosen(), controller = new AbortController();
  find('welcome').hidden = true;
  find('question').value = '';
  messages.push({ role: 'user', content: question });
  const turn = new Turn(find('log'), question);
  setRunning(controller);
  say('Waiting for the answer.');
  const got = await stream(turn, { model: root, messages: find('remember').checked ? messages : messages.slice(-1), stream: true, tandem: wishes() }, controller);
  if (turn.text) messages.push({ role: 'assistant', content: turn.text });
  else messages.pop();
  close(turn, got);
  showAnswer(turn, root, got.receipt);
  setRunning(null);
}

function clear() {
  messages.length = 0;
  shown = null;
  for (const old of [...find('log').children]) if (old.id !== 'welcome') old.remove();
  find('welcome').hidden = false;
  find('receipt-id').textContent = '';
  find('receipt').replaceChildren(h('p', { class: 'soft small' }, 'The receipt of an answer appears here.'));
  setRunning(null);
  redraw();
  find('question').focus();
}

// --- wiring

find('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  ask(find('question').value);
});
find('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(find('question').value);
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') running?.abort();
});
find('stop').addEventListener('click', () => {
  running?.abort();
  find('question').focus();
});
find('clear').addEventListener('click', clear);
window.addEventListener('hashchange', () => showLinked().catch((error) => say(explain(error))));
find('model').addEventListener('change', showModel);
find('examples').append(...EXAMPLES.map(([name, text = name]) => h('li', null, h('button', { type: 'button', onclick: () => {
  find('question').focus();
  ask(text);
} }, name))));
new ResizeObserver(([entry]) => {
  if (Math.round(entry.contentRect.width) === width) return;
  width = Math.round(entry.contentRect.width);
  requestAnimationFrame(redraw);
}).observe(find('tree'));
load();
