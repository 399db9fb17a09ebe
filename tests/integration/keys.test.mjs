// Keys and tenants: who is let in, by which header, what a key may ask and see, and that what was revoked is refused from
// the next request on. Keys are made with `tandem key`, as an operator makes them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { post, program, raw, rawPost, request, root, sanitized, startTandem, tandem, tempDir, user, withoutPair } from './lib.mjs';
import { startUpstream } from './upstream.mjs';

const dir = tempDir(), file = path.join(dir, 'keys.json');
const key = (...args) => tandem(['key', ...args, '--file', file]);
const newKey = (name, ...args) => {
  const done = key('new', '--name', name, ...args);
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
};
const bearer = (k) => ({ authorization: `Bearer ${k}` });
const settings = (url) => `
models:
  hello: {kind: script, answers: ["Hello world"]}
  other: {kind: script, answers: ["Other"]}
  slow: {kind: script, answers: ["one two three four five six"], delay_ms: 60, chunk: 4}
  echo: {kind: remote, url: "${url}", model: echo, key: "env:UPSTREAM_KEY"}
  masked: {kind: mask, inner: echo, level: 2}
serve: {key_file: "${file}", admin_keys: ["env:ADMIN_KEY"], responses: yes}
`;

let server, upstream, keys;
before(async () => {
  upstream = await startUpstream();
  keys = { a: newKey('alice', '--tenant', 'acme'), b: newKey('bob', '--tenant', 'bolt'),
    few: newKey('few', '--tenant', 'acme', '--models', 'hello,slow') };
  server = await startTandem(settings(upstream.url), { env: { ADMIN_KEY: 'the-admin-key', UPSTREAM_KEY: 'sk-up-canary' } });
});
after(async () => {
  await server.stop();
  await upstream.close();
});
const ask = (k, body = {}) => server.chat({ model: 'hello', messages: user('hi'), ...body }, k ? bearer(k) : {});

test('a key is shown once; its file is private and holds only a hash', () => {
  const text = readFileSync(file, 'utf8');
  for (const k of Object.values(keys)) {
    assert.match(k, /^tdm-[0-9A-Za-z]{48}$/);
    assert.ok(!text.includes(k) && !text.includes(k.slice(4, 20)));
  }
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const list = key('list').stdout;
  assert.match(list, /name=alice tenant=acme state=valid/);
  assert.match(list, /name=few tenant=acme .*models=hello,slow/);
  assert.equal(key('new', '--name', 'alice').status, 2); // names are of one key
  assert.equal(key('revoke', 'nobody').status, 2);
  assert.equal(key('nonsense').status, 2);
});

// The whole measurement is `node bench/keys.mjs`; this is a short one, over the same server and clock.
test('S17 the time of a refusal does not tell how much of a key was right', { skip: sanitized }, () => {
  const done = spawnSync(process.execPath, [path.join(root, 'bench/keys.mjs'), '3000'], { encoding: 'utf8', env: { ...process.env, TANDEM: program } });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  assert.match(done.stdout, /3000 requests, t = -?\d/);
});

test('S18 odd keys authenticate nobody: quotes, a megabyte, NUL, two headers', async () => {
  assert.equal((await ask("' OR '1'='1")).status, 401);
  const body = { model: 'hello', messages: user('hi') };
  const port = server.port;
  for (const headers of [[`Authorization: Bearer ${'x'.repeat(1 << 20)}`], [`Authorization: Bearer ${keys.a}\0`],
    [`Authorization: Bearer \0${keys.a}`], [`Authorization: Bearer ${keys.a}`, `Authorization: Bearer ${keys.a}`],
    [`Authorization: Bearer wrong`, `Authorization: Bearer ${keys.a}`], [`x-api-key: ${keys.a}`, 'x-api-key: wrong']]) {
    const { bytes } = await raw(port, rawPost(port, body, { headers: [...headers, 'Connection: close'] }));
    assert.match(bytes, /^HTTP\/1\.1 4(00|01|31) /, headers.map((h) => h.slice(0, 40)).join());
    assert.doesNotMatch(bytes, /Hello world/);
  }
  assert.equal((await ask(keys.a)).status, 200);
});

test('S19 the same decision for every carrier; other carriers authenticate nobody', async () => {
  const body = { model: 'other', messages: user('hi') };
  for (const headers of [bearer(keys.few), { 'x-api-key': keys.few }]) {
    const { status, json } = await server.chat(body, headers);
    assert.deepEqual([status, json.error.code, json.error.type], [403, 'model_not_allowed', 'permission_error']);
    assert.equal((await server.chat({ ...body, model: 'hello' }, headers)).status, 200);
  }
  for (const headers of [{ 'api-key': keys.a }, { cookie: `key=${keys.a}; authorization=Bearer ${keys.a}` },
    { 'proxy-authorization': `Bearer ${keys.a}` }, { authorization: `Basic ${Buffer.from(`x:${keys.a}`).toString('base64')}` }])
    assert.equal((await server.chat(body, headers)).status, 401, Object.keys(headers)[0]);
  assert.equal((await request(`${server.base}/models?key=${keys.a}&api_key=${keys.a}`)).status, 401);
});

test('a key sees and asks only its models', async () => {
  const names = async (k) => (await request(`${server.base}/models`, { headers: bearer(k) })).json.data.map((m) => m.id);
  assert.deepEqual(await names(keys.few), ['hello', 'slow']);
  assert.deepEqual(await names(keys.a), ['hello', 'echo', 'masked', 'other', 'slow']);
  assert.equal((await request(`${server.base}/models/other`, { headers: bearer(keys.few) })).status, 404);
  const count = await post(`${server.base}/messages/count_tokens`, { model: 'other', messages: user('x') }, { 'x-api-key': keys.few });
  assert.deepEqual([count.status, count.json.error.type], [403, 'permission_error']);
});

test('S20 a revoked key: the open stream ends well, the next request on its connection is refused', async () => {
  const k = newKey('brief', '--tenant', 'acme');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const body = JSON.stringify({ model: 'slow', stream: true, messages: user('hi') });
  const headers = { ...bearer(k), 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const streaming = request(`${server.base}/chat/completions`, { method: 'POST', body, headers, agent });
  await new Promise((r) => setTimeout(r, 120));
  const revoked = key('revoke', 'brief');
  assert.match(revoked.stdout, /name=brief is revoked/);
  const { status, text } = await streaming;
  assert.equal(status, 200);
  assert.match(text, /\[DONE\]/); // what had begun before goes on to its end
  const next = await request(`${server.base}/models`, { headers: bearer(k), agent });
  assert.deepEqual([next.status, next.json.error.code], [401, 'invalid_api_key']);
  assert.equal((await request(`${server.base}/models`, { headers: bearer(keys.a), agent })).status, 200);
  agent.destroy();
  assert.match(key('list').stdout, /name=brief .*state=revoked/);
});

test('a new key holds at once; an expired one is refused', async () => {
  const k = newKey('late');
  assert.equal((await ask(k)).status, 200);
  const all = JSON.parse(readFileSync(file, 'utf8'));
  all.keys.find((x) => x.name === 'late').expires = Math.floor(Date.now() / 1000) - 1;
  writeFileSync(file, JSON.stringify(all), { mode: 0o600 });
  const { status, json } = await ask(k);
  assert.deepEqual([status, json.error.code], [401, 'invalid_api_key']);
  assert.match(json.error.message, /expired/);
});

test('a key file that is damaged while the server runs changes nothing', async () => {
  const good = readFileSync(file);
  writeFileSync(file, '{"keys": [');
  assert.equal((await ask(keys.a)).status, 200);
  assert.equal((await ask('wrong')).status, 401);
  assert.match(server.stderr, /keys\.kept/);
  writeFileSync(file, good);
  assert.equal((await ask(keys.a)).status, 200);
});

test('S21 whoever has no key learns nothing: every path and every kind of bad request is 401 first', async () => {
  const bad = [['POST', '/v1/chat/completions', '{'], ['POST', '/v1/chat/completions', '[1]'], ['POST', '/v1/messages', 'x'],
    ['POST', '/v1/responses', '{}'], ['POST', '/v1/nothing', '{}'], ['GET', '/v1/nothing'], ['PUT', '/v1/models', ''],
    ['DELETE', '/v1/chat/completions'], ['GET', '/v1/receipts/rcp_none'], ['GET', '/v1/models/none'], ['GET', '/v1/tree'],
    ['POST', '/v1/chat/completions', JSON.stringify({ model: 'none', messages: [] })],
    ['POST', '/v1/messages/count_tokens', '{'], ['GET', '/admin/stats/hour'], ['GET', '/admin/stats/none']];
  for (const [method, at, body] of bad)
    for (const headers of [{}, bearer('wrong')]) {
      const { status, headers: got } = await request(server.origin + at, { method, body, headers });
      assert.equal(status, 401, `${method} ${at} ${body}`);
      assert.equal(got['www-authenticate'], 'Bearer');
      assert.equal(got.allow, undefined);
    }
  assert.equal((await request(`${server.origin}/v1/nothing`, { headers: bearer(keys.a) })).status, 404);
  assert.equal((await request(`${server.origin}/v1/models`, { method: 'PUT', headers: bearer(keys.a) })).status, 405);
});

test('S22 what belongs to all tenants needs the right to administrate, whatever the method claims to be', async () => {
  const stats = `${server.origin}/admin/stats/hour`;
  for (const [headers, expected] of [[{}, 401], [bearer(keys.a), 403], [{ 'x-api-key': keys.a, 'x-http-method-override': 'GET' }, 403],
    [{ 'x-http-method-override': 'GET' }, 401], [{ 'x-forwarded-for': '127.0.0.1', host: 'localhost' }, 401],
    [bearer('the-admin-key'), 200]])
    assert.equal((await request(stats, { headers })).status, expected, JSON.stringify(headers));
  assert.equal((await request(stats, { method: 'POST', headers: { ...bearer(keys.a), 'x-http-method-override': 'GET' } })).status, 405);
  const outside = Object.values(os.networkInterfaces()).flat().find((i) => i.family === 'IPv4' && !i.internal);
  if (outside) { // by default nobody else can connect at all
    const failed = await request(`http://${outside.address}:${server.port}/health`).catch((e) => e.code);
    assert.equal(failed, 'ECONNREFUSED');
  }
});

test('S25 receipts and stored answers of another tenant: 404, as if there were none', async () => {
  const { json } = await ask(keys.a);
  assert.equal(json.tandem.tenant, 'acme');
  const url = `${server.base}/receipts/${json.tandem.receipt}`;
  const seen = async (k) => (await request(url, { headers: bearer(k) })).status;
  assert.deepEqual([await seen(keys.a), await seen(keys.few), await seen(keys.b), await seen('the-admin-key')], [200, 200, 404, 200]);
  const theirs = await request(url, { headers: bearer(keys.b) });
  const none = await request(`${server.base}/receipts/rcp_none`, { headers: bearer(keys.b) });
  assert.deepEqual(theirs.json, none.json);
});

test('S72 a stored answer is bound to its tenant: another one can neither read it nor go on from it', async () => {
  const first = await post(`${server.base}/responses`, { model: 'hello', input: 'hi', store: true }, bearer(keys.a));
  assert.equal(first.status, 200, first.text);
  const { id } = first.json;
  const get = (k) => request(`${server.base}/responses/${id}`, { headers: bearer(k) });
  assert.deepEqual([(await get(keys.a)).status, (await get(keys.few)).status, (await get(keys.b)).status], [200, 200, 404]);
  const go = (k) => post(`${server.base}/responses`, { model: 'hello', input: 'more', previous_response_id: id }, bearer(k));
  assert.equal((await go(keys.a)).status, 200);
  const other = await go(keys.b);
  assert.deepEqual([other.status, other.json.error.code], [400, 'previous_response_not_found']);
});

test('S71 what stands for a value of one tenant is not restored for another', async () => {
  const said = async (k, content) => (await server.chat({ model: 'masked', messages: user(content), tandem: { session: 'one' } },
    bearer(k))).json.choices[0].message.content;
  assert.match(await said(keys.a, 'mail anna.berg@example.org'), /anna\.berg@example\.org/);
  const token = upstream.requests.at(-1).json.messages.at(-1).content.replace('mail ', '').trim();
  assert.doesNotMatch(token, /anna/);
  assert.doesNotMatch(await said(keys.b, `who is ${token}`), /anna/);
  await said(keys.b, 'mail anna.berg@example.org');
  const theirs = upstream.requests.at(-1).json.messages.at(-1).content.replace('mail ', '').trim();
  assert.notEqual(theirs, token); // the same value, the same name of a session: other words for another tenant
});

test('S63 what one tenant has had read is not there for another: its own tokens are counted as cached, nobody else\'s',
  { skip: withoutPair }, async () => {
    const local = await startTandem(`
models: {small: {kind: local, path: "embedded:small"}}
serve: {key_file: "${file}"}
`);
    const ask = async (k) => (await local.chat({ model: 'small', max_tokens: 1, messages: user('one two three four '.repeat(8)) },
      bearer(k))).json.usage.prompt_tokens_details.cached_tokens;
    assert.equal(await ask(keys.a), 0);
    assert.ok((await ask(keys.a)) > 0);
    assert.ok((await ask(newKey('ann', '--tenant', 'acme'))) > 0); // the same tenant
    assert.equal(await ask(keys.b), 0);
    assert.ok((await ask(keys.b)) > 0);
    await local.stop();
  });

test('S23 no key of a client, an upstream or an administrator is in any output', async () => {
  const canaries = [...Object.values(keys), 'the-admin-key', 'sk-up-canary'];
  const outputs = [server.stderr, server.stdout, readFileSync(`/proc/${server.child.pid}/cmdline`, 'latin1')];
  for (const k of canaries) {
    outputs.push((await request(`${server.base}/models?key=${k}`)).text, (await request(`${server.origin}/${k}`, { headers: bearer(keys.a) })).text
      .replace(k, '')); // a path that is not there is named
    outputs.push((await server.chat({ model: 'hello', messages: 3 }, bearer(k))).text);
    outputs.push((await server.chat({ model: 'echo', messages: user('x') }, bearer(k))).text);
  }
  for (const at of ['/metrics', '/health', '/admin/stats/hour'])
    outputs.push((await request(server.origin + at, { headers: bearer('the-admin-key') })).text);
  outputs.push(server.stderr, readFileSync(path.join(server.dir, 'ledger.db'), 'latin1'));
  for (const k of canaries) for (const [i, o] of outputs.entries()) assert.ok(!o.includes(k), `output ${i} holds a key`);
});

test('S27 a key file that is empty, missing or open to others: refused at the start with one sentence', () => {
  const start = (yaml) => tandem(['serve', '--listen', '127.0.0.1:0', '--ledger', ':memory:', '--config', yaml]);
  const place = mkdtempSync(path.join(dir, 'bad-'));
  const settingsOf = (serve) => {
    const at = path.join(place, 'settings.yaml');
    writeFileSync(at, `models: {a: {kind: script, answers: [x]}}\nserve: ${serve}\n`);
    return at;
  };
  const write = (text, mode) => {
    writeFileSync(path.join(place, 'k'), text);
    chmodSync(path.join(place, 'k'), mode);
  };
  for (const [text, mode, reason] of [['', 0o600, /not a key file/], ['{"keys": []}', 0o644, /mode 0600/], ['{"keys": []}', 0o640, /mode 0600/],
    ['{"keys": [{"id": "x"}]}', 0o600, /expected an id/], ['{"keys": [{"idd": "x"}]}', 0o600, /idd/]]) {
    write(text, mode);
    const { status, stderr } = start(settingsOf(`{key_file: "${place}/k"}`));
    assert.equal(status, 2, text);
    assert.match(stderr, reason);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
  for (const serve of [`{key_file: "${place}/none"}`, `{keys: ["file:${place}/none"]}`, '{keys: ["env:NO_SUCH_KEY_HERE"]}'])
    assert.notEqual(start(settingsOf(serve)).status, 0);
  write('', 0o600);
  assert.match(start(settingsOf(`{keys: ["file:${place}/k"]}`)).stderr, /empty/);
  write('a-key', 0o644);
  assert.match(start(settingsOf(`{admin_keys: ["file:${place}/k"]}`)).stderr, /mode 0600/);
});

test('S28 no default credentials, no debug switches', async () => {
  for (const k of ['', 'admin', 'tandem', 'sk-1234', 'test', 'default', 'undefined', 'null'])
    assert.equal((await ask(k)).status, 401, k);
  const listed = tandem(['config']).stdout.split('\nserve:')[1];
  assert.match(listed, /key_file: not set/);
  assert.match(listed, /keys: not set/);
  assert.doesNotMatch(listed, /debug|insecure|verify|master/i);
  const kinds = tandem(['models', '--kinds']).stdout;
  assert.doesNotMatch(kinds, /option (debug|insecure|verify(?! +sampled drafts)|skip)/i);
  for (const word of ['debug', 'insecure', 'no-auth']) assert.equal(tandem(['serve', `--${word}`]).status, 2);
});
