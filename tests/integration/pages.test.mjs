// The pages in a real browser: Debian's Chromium, driven by Playwright. Every page that a test opens must leave the
// console clean, ask no other host, and pass axe's rules; TANDEM_SHOTS names a folder for pictures of them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { eventually, request, root, startTandem, tempDir, withoutPair } from './lib.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const KEY = 'a-key-of-the-tests', ADMIN = 'a-key-that-may-see-everything';
const WORDS = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
const MARKUP = '<img src="//elsewhere.example/x" onerror="document.title=1"><script>document.title=2</script><b>bold</b>';
const settings = `models:
  slow: {kind: script, answers: ["${WORDS}"], chunk: 8, delay_ms: 30}
  markup: {kind: script, file: markup.json}
  broken: {kind: script, file: broken.json}
  nested:
    kind: fallback
    models:
      - {kind: retry, inner: broken}
      - markup
serve: {keys: ["env:PAGES_KEY"], admin_keys: ["env:PAGES_ADMIN"]}
`;
let browser, pair, scripted;

before(async () => {
  const flags = process.getuid() === 0 ? ['--no-sandbox'] : [];
  [browser, pair, scripted] = await Promise.all([
    chromium.launch({ executablePath: '/usr/bin/chromium', args: flags }),
    withoutPair ? null : startTandem(null, { cwd: tempDir() }),
    startTandem(settings, { env: { PAGES_KEY: KEY, PAGES_ADMIN: ADMIN }, files: {
      'markup.json': JSON.stringify([{ answer: MARKUP, chunk: 5 }]),
      'broken.json': JSON.stringify([{ match: 'late', answer: WORDS, chunk: 8, error: 'upstream_error' }, { answer: '', error: 'upstream_error' }]) } }),
  ]);
});
after(async () => {
  await browser?.close();
  await pair?.stop();
  await scripted?.stop();
});

// A page of its own; when the test ends, nothing may have gone wrong in it but what `expected` matches.
async function open(t, server, where, { expected = /^$/, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage(), wrong = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && !expected.test(m.text()) && wrong.push(m.text()));
  page.on('pageerror', (e) => wrong.push(e.message));
  page.on('request', (r) => !r.url().startsWith(server.origin + '/') && wrong.push(`a request to ${r.url()}`));
  page.setDefaultTimeout(30000); // a machine that builds beside it is slow
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(server.origin + where);
  return page;
}

const playground = async (t, server, options) => {
  const page = await open(t, server, '/', options);
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
  return page;
};

async function ask(page, question, model) {
  if (model) await page.selectOption('#model', model);
  await page.fill('#question', question);
  await page.press('#question', 'Enter');
}

const answered = (page, n) => page.waitForFunction((count) => document.querySelectorAll('.answer[aria-busy=false]').length === count
  && document.querySelector('#stop').hidden, n);
const shot = async (page, name, options) => process.env.TANDEM_SHOTS
  && page.screenshot({ path: path.join(root, process.env.TANDEM_SHOTS, `${name}.png`), ...options });

async function assertAccessible(page, what) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  assert.ok(passes.length > 15, `${what}: axe looked at little: ${passes.map((p) => p.id)}`);
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join('; ')}`), [], what);
}

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

test('a conversation with the pair: streamed words with their authors, the path in the tree, the receipt', { skip: withoutPair }, async (t) => {
  const page = await playground(t, pair);
  assert.equal(await page.inputValue('#model'), 'assistant');
  const asked = page.waitForRequest('**/v1/chat/completions');
  await ask(page, 'What is the capital of France?');
  const body = (await asked).postDataJSON();
  assert.deepEqual([body.model, body.stream, body.tandem.trace], ['assistant', true, true]);
  await answered(page, 1);
  assert.equal((await page.textContent('.answer .said')).trim(), 'Paris');
  assert.match(await page.getAttribute('.piece', 'title'), /^written by (small|large)$/);
  await ask(page, 'Sort in ascending order: 41 7 93 25', 'cascade');
  await answered(page, 2);
  const receipt = JSON.parse(await page.textContent('.raw'));
  assert.deepEqual([receipt.requested, receipt.state], ['cascade', 'complete']);
  const { text } = await request(`${pair.base}/receipts/${receipt.receipt}`);
  assert.ok(text.includes(`"seed":${/"seed": (\d+)/.exec(await page.textContent('.raw'))[1]}`), 'no digit of the seed is lost');
  const author = await page.getAttribute('.answer:last-child .piece', 'title');
  assert.equal(author, `written by ${receipt.served}`);
  const used = await page.$$eval('.node.used .name', (nodes) => nodes.map((n) => n.textContent));
  assert.deepEqual(used, ['cascade', ...new Set(receipt.calls.map((c) => c.model))]);
  assert.equal(await page.locator('.edge.used').count(), used.length - 1);
  assert.match(await page.textContent('.node.used .did'), new RegExp(receipt.decisions[0].choice));
  const shown = await page.textContent('#receipt');
  for (const word of ['Cost', 'Tokens', 'Left the machine', 'every word stayed here', 'Decisions', '0.85', 'Calls of models', receipt.hashes.answer])
    assert.ok(shown.includes(word), word);
  await assertAccessible(page, 'the playground');
  await shot(page, 'playground');
});

test('a question and its answer on a phone of 360 pixels, in the dark', { skip: withoutPair }, async (t) => {
  const page = await playground(t, pair, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  await ask(page, 'Reverse: 3 7 7 5', 'speculate');
  await answered(page, 1);
  assert.ok(await page.locator('.piece[title="drafted by small, taken over by large"]').count() > 0, 'drafts are marked');
  assert.match(await page.textContent('.answer footer'), /large: \d+ characters\d+ of them drafted by small/);
  assert.ok(await fits(page), 'nothing is wider than the screen');
  const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number));
  assert.ok(Math.max(...ground) < 60, `the ground is dark: ${ground}`);
  await assertAccessible(page, 'the playground in the dark');
  await shot(page, 'playground-phone');
});

test('masked values: back in the answer, counted by type on the receipt, which holds none of them', { skip: withoutPair }, async (t) => {
  const page = await playground(t, pair);
  await page.selectOption('#model', 'masked');
  await page.click('text=A message with personal data');
  await answered(page, 1);
  assert.match(await page.textContent('.said'), /779-861-1307/);
  const shown = await page.textContent('#receipt');
  assert.match(shown, /EMAIL1/);
  assert.match(shown, /PHONE1/);
  assert.match(shown, /PERSON3/);
  assert.ok(!shown.includes('779-861') && !shown.includes('mira57'));
  assert.match(await page.textContent('.node.used .did'), /^5 values hidden, 2 put back · level 2$/);
});

test('the keyboard alone: a key, a model, a question, stop; a key is kept for the tab only', async (t) => {
  const page = await open(t, scripted, '/', { expected: /status of 40[14]/ });
  await page.waitForSelector('#key-value');
  await page.keyboard.type(KEY);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
  await page.waitForFunction(() => document.activeElement.id === 'question');
  await page.reload(); // the tab still has the key
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
  await page.keyboard.type('go');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.answer[aria-busy=true] .said')?.textContent.includes('word3'));
  assert.equal(await page.isVisible('#stop'), true, 'words are shown while they come');
  await page.keyboard.press('Escape');
  await answered(page, 1);
  const said = await page.textContent('.said');
  assert.ok(said.includes('word3') && !said.includes('word59'), said);
  assert.match(await page.textContent('.answer footer'), /stopped by you/);
  await page.waitForSelector('.raw', { state: 'attached' });
  assert.equal(JSON.parse(await page.textContent('.raw')).state, 'cancelled');
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  assert.equal(await page.evaluate(() => document.cookie), '');
  const order = [];
  await page.focus('.skip');
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return [document.activeElement.id || document.activeElement.tagName, style.outlineStyle !== 'none' || document.activeElement.className === 'skip'];
    }));
  }
  assert.ok(order.every(([, visible]) => visible), `focus is visible: ${JSON.stringify(order)}`);
  for (const id of ['model', 'remember', 'question', 'send']) assert.ok(order.some(([name]) => name === id), `${id} is reached: ${JSON.stringify(order)}`);
});

async function withKey(t, expected) {
  const page = await open(t, scripted, '/', { expected });
  await page.fill('#key-value', KEY);
  await page.press('#key-value', 'Enter');
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
  return page;
}

test('markup in an answer stays text', async (t) => {
  const page = await withKey(t, /status of 401/);
  await ask(page, 'go', 'markup');
  await answered(page, 1);
  assert.equal(await page.textContent('.said'), MARKUP);
  assert.deepEqual(await page.$$eval('.said *', (all) => [...new Set(all.map((e) => e.tagName))]), ['SPAN']);
  assert.equal(await page.title(), 'Playground – Tandem');
});

test('a failure is a sentence, before the first word and after it; a tree of parts in parts is drawn whole', async (t) => {
  const page = await withKey(t, /status of (40[01]|5\d\d)|net::ERR/);
  await ask(page, 'go', 'broken');
  await page.waitForSelector('.notice');
  assert.match(await page.textContent('.notice'), /^[A-Z].*\.$/);
  await answered(page, 1);
  await ask(page, 'late', 'broken');
  await answered(page, 2);
  assert.match(await page.textContent('.answer:last-child .notice'), /^[A-Z].*\.$/);
  await page.click('#wishes summary');
  await page.fill('#quality', '7');
  await ask(page, 'go', 'slow');
  await answered(page, 3);
  assert.match(await page.textContent('.answer:last-child .notice'), /quality.*0 to 1/);
  await page.fill('#quality', '');
  await ask(page, 'go', 'nested');
  await answered(page, 4);
  assert.deepEqual(await page.$$eval('.node .name', (nodes) => nodes.map((n) => n.textContent)).then((n) => n.length), 4);
  assert.equal(await page.textContent('.answer:last-child .said'), MARKUP);
});

test('demand_41 the admin page after traffic: what was spent and saved, figures, plots with axes and a table, tables, keyboard; wide and narrow', { skip: withoutPair }, async (t) => {
  for (let i = 0; i < 20; i++) {
    const content = ['What is the capital of France?', 'Reverse: 3 7 7 5', 'Mail bob@example.org. What is the e-mail address?'][i % 3];
    await pair.chat({ model: ['assistant', 'masked', 'route', 'cascade'][i % 4], messages: [{ role: 'user', content }] });
  }
  await pair.chat({ model: 'large', messages: [{ role: 'user', content: 'x' }], tandem: { max_cost: 1e-12 } });
  const page = await open(t, pair, '/admin');
  await page.waitForSelector('#recent table');
  const { json: stats } = await request(`${pair.origin}/admin/stats/hour`);
  assert.ok(stats.totals[0].requests >= 21 && stats.totals[0].failed >= 1 && stats.counters.entities > 0, JSON.stringify(stats.totals));
  assert.match(await page.textContent('#figures'), new RegExp(`Requests${stats.totals[0].requests}1 failed`));
  const small = await pair.chat({ model: 'cascade', messages: [{ role: 'user', content: 'What is the capital of France?' }] });
  assert.ok(small.json.tandem.served === 'small' && small.json.tandem.cost.saved > 0, 'an answer of the small model saves');
  const before = stats.totals[0], now = (await request(`${pair.origin}/admin/stats/hour`)).json.totals[0];
  assert.ok(Math.abs(now.saved - before.saved - small.json.tandem.cost.saved) < 1e-12, 'and that is added');
  await page.waitForFunction((n) => document.querySelector('#figures dd').textContent.startsWith(n), String(now.requests));
  assert.match(await page.textContent('#figures'), /Spent0\.\d+ USD.*Saved-?0\.\d+ USD/);
  for (const model of ['small', 'large']) assert.ok((await page.textContent('#models')).includes(model));
  assert.match(await page.textContent('#entities'), /EMAIL/);
  assert.ok(await page.locator('#plot-requests .bar').count() > 0, 'bars');
  assert.ok(await page.locator('#plot-latency text').count() > 6, 'axes');
  assert.match(await page.textContent('#plot-cost h2'), /USD/);
  await page.hover('#plot-tokens .plot > svg', { position: { x: 200, y: 60 } });
  assert.match(await page.textContent('#plot-tokens .readout'), /^\d\d:\d\d: read \d+, written \d+$/);
  await page.focus('#plot-requests .plot > svg');
  await page.keyboard.press('End');
  assert.match(await page.textContent('#plot-requests .readout'), /answered \d+, failed \d+/);
  await page.click('#plot-requests summary');
  await eventually('a row for each minute', async () => await page.locator('#plot-requests tbody tr').count() === 60);
  await page.click('#plot-requests summary');
  await pair.chat({ model: 'small', messages: [{ role: 'user', content: 'Reverse: 1 2' }] });
  await page.waitForFunction((n) => document.querySelector('#figures dd').textContent.startsWith(n), String(stats.totals[0].requests + 2));
  await page.click('label[for=day]');
  await page.waitForFunction(() => document.querySelector('#plot-requests .bar'));
  await assertAccessible(page, 'the admin page');
  await page.click('label[for=hour]');
  await shot(page, 'admin');
  const linked = await page.getAttribute('#recent tbody a', 'href');
  assert.match(linked, /^\/#rcp_\w+$/);
  await page.setViewportSize({ width: 360, height: 740 });
  await eventually('the narrow page fits', () => fits(page));
  await page.emulateMedia({ colorScheme: 'dark' });
  await assertAccessible(page, 'the admin page in the dark');
  await page.goto(pair.origin + linked);
  await page.waitForSelector('.node.used');
  assert.equal(`/#${await page.textContent('#receipt-id')}`, linked, 'a receipt of the list opens in the playground');
});

test('one conversation from both sides: values on the left, tokens on the right, counts below; keyboard alone, wide, narrow and dark', { skip: withoutPair }, async (t) => {
  const page = await open(t, pair, '/seen');
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0 && document.activeElement.id === 'question');
  assert.equal(await page.inputValue('#model'), 'masked', 'a mask is chosen where there is one');
  const complete = (n) => page.waitForFunction((count) => document.querySelectorAll('.outside .counts').length === count, n);
  const side = (name) => page.locator('.turn').first().locator(name).textContent();
  const twice = /mira57@mail\.example\.com.*mira57@mail\.example\.com/s;
  // Tokens are other ones each time, and of some hundred the model spoils one: then it is asked again.
  for (let tries = 0; tries < 3; tries++) {
    if (tries) await page.click('#clear');
    await page.focus('#question');
    await page.keyboard.type('What is the e-mail address of Mira Lind?');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('Mira Lind lives in Krakow. Write to her at mira57@mail.example.com.');
    await page.keyboard.press('Enter');
    await complete(1);
    if (twice.test(await side('.inside'))) break;
  }
  assert.match(await side('.inside'), twice, 'asked with it, answered with it');
  const outside = await side('.outside');
  assert.ok(!outside.includes('mira57') && !outside.includes('mail.example'), outside);
  assert.match(outside, /large_masked \(on this machine\).*received as user.*EMAIL_[0-9A-Z]{8}.*wrote.*EMAIL_[0-9A-Z]{8}.*Nothing left this machine.*1 × EMAIL as a token/s);
  assert.ok(await page.locator('.outside .token').count() >= 2, 'tokens are marked');
  assert.equal(await page.locator('.inside .token').count(), 0);
  await assertAccessible(page, 'the page of both sides');
  await page.click('#example');
  await page.click('#send');
  await complete(2);
  assert.match(await side('.outside'), /received as user.*EMAIL_\w{8}\..*received as assistant.*received as userConfirm the phone number/s, 'earlier turns go with it, and no word of theirs with a value');
  assert.ok(!(await side('.outside')).includes('779-861'));
  await shot(page, 'seen', { fullPage: true });
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await eventually('the narrow page fits', () => fits(page));
  await assertAccessible(page, 'the page of both sides in the dark');
  await shot(page, 'seen-phone');
  await page.click('#clear');
  assert.equal(await page.locator('.turn').count(), 0);
});

test('what the models saw is for who may see everything, and is kept nowhere', async (t) => {
  const body = { model: 'markup', messages: [{ role: 'user', content: 'go' }], tandem: { seen: true } };
  const bearer = (key) => ({ authorization: `Bearer ${key}` });
  const refused = await scripted.chat(body, bearer(KEY));
  assert.deepEqual([refused.status, refused.json.error.param, refused.json.error.code], [403, 'tandem.seen', 'admin_required']);
  const { json } = await scripted.chat(body, bearer(ADMIN));
  assert.deepEqual(json.tandem.seen, [{ model: 'markup', leaves: false, asked: [{ role: 'user', content: 'go' }], said: MARKUP }]);
  const stored = await scripted.receipt(json.tandem.receipt, bearer(ADMIN));
  assert.ok(!('seen' in stored), 'the ledger has no text');
  for (const path of ['/v1/messages', '/v1/responses']) {
    const answer = await request(scripted.origin + path, { method: 'POST', headers: { ...bearer(ADMIN), 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'markup', max_tokens: 99, messages: body.messages, input: 'go', tandem: { seen: true } }) });
    assert.equal(answer.json.tandem.seen[0].said, MARKUP, path);
  }
  const page = await open(t, scripted, '/seen', { expected: /status of 40[13]/ });
  await page.fill('#key-value', KEY);
  await page.press('#key-value', 'Enter');
  await page.waitForFunction(() => document.querySelector('#model').options.length > 0);
  await page.selectOption('#model', 'markup');
  await page.fill('#question', 'go');
  await page.press('#question', 'Enter');
  await page.waitForFunction(() => document.querySelector('#problem').textContent.includes('right to administrate'));
  await page.fill('#key-value', ADMIN);
  await page.press('#key-value', 'Enter');
  await page.waitForFunction(() => document.querySelector('#problem').hidden);
  await page.selectOption('#model', 'markup');
  await page.fill('#question', 'go');
  await page.press('#question', 'Enter');
  await page.waitForFunction(() => document.querySelector('.outside .words ~ .words'));
  assert.ok((await page.textContent('.outside')).includes(MARKUP), 'markup stays text');
  assert.equal(await page.title(), 'Seen outside – Tandem');
});

test('running requests are live on the admin page', async (t) => {
  const auth = { authorization: `Bearer ${ADMIN}` };
  const coming = scripted.chat({ model: 'slow', messages: [{ role: 'user', content: 'go' }] }, auth);
  const stats = await eventually('a live request', async () => {
    const { json } = await request(`${scripted.origin}/admin/stats/hour`, { headers: auth });
    return json.live.requests.length && json;
  });
  assert.deepEqual([stats.live.requests[0].model, stats.live.requests[0].endpoint], ['slow', 'chat.completions']);
  assert.ok((await coming).status === 200);
});

test('S22 figures want a key with the right to administrate where the server has keys, no key in a page, and no page under another path', async (t) => {
  const stats = (headers, method) => request(`${scripted.origin}/admin/stats/hour`, { method, headers });
  const bearer = (key) => ({ authorization: `Bearer ${key}` });
  assert.equal((await stats({})).status, 401);
  assert.equal((await stats(bearer('wrong'))).status, 401);
  assert.equal((await stats(bearer(KEY))).status, 403);
  assert.equal((await stats(bearer(ADMIN))).status, 200);
  assert.notEqual((await stats({ 'x-http-method-override': 'GET' }, 'POST')).status, 200);
  assert.equal((await request(`${scripted.origin}/v1/tree`)).status, 401);
  for (const where of ['/v1/', '/v1/admin', '/web/', '/web/../tandem.yaml', '/web/%2e%2e/tandem.yaml', '/web/settings.yaml', '/admin/stats', '/admin/stats/x', '/admin/x']) {
    const { status, json } = await request(scripted.origin + where, { headers: bearer(ADMIN) });
    assert.ok([400, 404].includes(status) && json.error, `${where}: ${status}`);
  }
  const page = await open(t, scripted, '/admin', { expected: /status of 40[13]/ });
  await page.fill('#key-value', KEY);
  await page.press('#key-value', 'Enter');
  await page.waitForFunction(() => document.querySelector('#problem').textContent.includes('right to administrate'));
  await page.fill('#key-value', ADMIN);
  await page.press('#key-value', 'Enter');
  await page.waitForSelector('#figures > div');
  assert.equal(await page.isVisible('#problem'), false);
});

test('pages are served with a strict policy and a tag, and are not sent twice', async () => {
  const first = await request(`${scripted.origin}/`);
  assert.equal(first.headers['content-type'], 'text/html; charset=utf-8');
  const policy = first.headers['content-security-policy'];
  for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"])
    assert.ok(policy.includes(rule), rule);
  assert.ok(!/unsafe|\*|https?:/.test(policy), policy);
  assert.equal(first.headers['x-content-type-options'], 'nosniff');
  assert.equal(first.headers['referrer-policy'], 'no-referrer');
  const again = await request(`${scripted.origin}/`, { headers: { 'if-none-match': first.headers.etag } });
  assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', first.headers.etag]);
  const head = await request(`${scripted.origin}/admin`, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text], [200, '']);
  for (const page of ['/', '/admin', '/seen']) {
    const { text } = await request(scripted.origin + page);
    assert.ok(!/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:\/\//.test(text), `${page} has nothing inline and nothing from elsewhere`);
    for (const [, file] of text.matchAll(/(?:src|href)="(\/web\/[^"]+)"/g)) assert.equal((await request(scripted.origin + file)).status, 200, file);
  }
});

test('a stream names its authors only when it is asked to', async () => {
  const body = { model: 'markup', stream: true, messages: [{ role: 'user', content: 'go' }] };
  const read = async (more) => (await scripted.chat({ ...body, ...more }, { authorization: `Bearer ${KEY}` })).text;
  const [plain, traced] = await Promise.all([read({}), read({ tandem: { trace: true } })]);
  assert.ok(!plain.includes('"author"'));
  assert.ok(traced.includes('"tandem":{"author":"markup"}'));
});
