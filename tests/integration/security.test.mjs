// Hostile bytes on the wire, against the real program over plain sockets: what is no request, what never ends, what wants to
// be read twice in two ways, clients that leave, stop or crowd. Each case says what it asserts; after all of them the server
// answers as before.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import test, { after, before } from 'node:test';
import { deflateSync, gzipSync, brotliCompressSync } from 'node:zlib';
import { eventually, post, program, raw, rawPost, request, sanitized, sleep, startTandem, user, writeTemp } from './lib.mjs';
import { startUpstream, wholeStream, delta, chunk } from './upstream.mjs';

const slack = sanitized ? 10 : 1;
let server, keyed, upstream;
before(async () => {
  upstream = await startUpstream((rq) => {
    if (rq.json.model !== 'flood') return undefined;
    return { pieces: [wholeStream([])[0], ...Array(4000).fill(chunk(delta({ content: 'x'.repeat(16000) })))] };
  });
  const models = `
models:
  hello: {kind: script, answers: ["Hello world"]}
  slow: {kind: script, answers: ["${'word '.repeat(200)}"], delay_ms: 20}
  far: {kind: remote, url: "${upstream.url}", model: echo}
  endless: {kind: remote, url: "${upstream.url}", model: endless}
  flood: {kind: remote, url: "${upstream.url}", model: flood}
  masked: {kind: mask, inner: far, level: 2}
`;
  server = await startTandem(`${models}
serve: {default: hello, workers: 64, header_timeout: 1, body_timeout: 1, write_timeout: 2, connections: 256, cors: ["https://good.example"]}
`);
  keyed = await startTandem(`${models}
serve: {default: hello, keys: ["env:K"], half_close: yes}
`, { env: { K: 'k' } });
});
after(async () => {
  await server?.stop();
  await keyed?.stop();
  await upstream?.close();
});

const head = (lines, body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const ask = (lines, body = '') => head(['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', ...lines], body);
const body = JSON.stringify({ messages: user('hi') });
const sized = (text = body) => `Content-Length: ${Buffer.byteLength(text)}`;
const status = (answer) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer.bytes)?.[1] ?? 0);
const resident = (of = server) => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${of.child.pid}/status`, 'utf8'))[1]);
async function refuses(what, bytes, wanted, { to = server } = {}) {
  const answer = await raw(to.port, bytes);
  assert.equal(status(answer), wanted, `${what}: ${answer.bytes.slice(0, 300)}`);
  assert.notEqual(answer.ended, 'enough', what); // closed by the server
  assert.match(answer.bytes, /\{"error":\{"message":".+","type":"[a-z_]+"/, what);
  return answer;
}
const alive = async (of = server) => assert.equal((await of.chat({ messages: user('hi') }, of === keyed ? { authorization: 'Bearer k' } : {})).status, 200);
function dial(bytes, to = server, options = {}) {
  const socket = net.connect({ port: to.port, host: '127.0.0.1', ...options });
  socket.got = '';
  socket.on('data', (d) => (socket.got += d.toString('latin1')));
  socket.on('error', () => {});
  socket.over = new Promise((r) => socket.on('close', r));
  socket.open = new Promise((r) => socket.on('connect', r).on('close', r));
  if (bytes) socket.write(bytes);
  return socket;
}

test('S01 a length beside chunks', async () => {
  await refuses('both', ask([sized(), 'Transfer-Encoding: chunked'], body), 400);
  await refuses('both, turned', ask(['Transfer-Encoding: chunked', sized()], body), 400);
  await alive();
});

test('S02 lengths that are none, or two', async () => {
  for (const lines of [['Content-Length: 5', 'Content-Length: 6'], ['Content-Length: 5', 'Content-Length: 5'], ['Content-Length: +5'], ['Content-Length: 5 5'],
    ['Content-Length: 0x5'], ['Content-Length: 18446744073709551616'], ['Content-Length: -5'], ['Content-Length: 5, 5'], ['Content-Length:']])
    await refuses(lines.join(), ask(lines, body), 400);
});

test('S03 folded lines, bare CR and LF, NUL, names with a space', async () => {
  for (const line of ['A: b\r\n c', 'A: b\rc', 'A: b\nC: d', 'A: b\0c', 'A b: c', 'A : b', ' A: b', ': b', 'A'])
    await refuses(JSON.stringify(line), ask([line, sized()], body), 400);
});

test('S04 chunks: a size beyond all, an endless extension; a trailer never authenticates', async () => {
  await refuses('size', ask(['Transfer-Encoding: chunked'], 'FFFFFFFFFFFFFFFF\r\n{}'), 400);
  await refuses('extension', ask(['Transfer-Encoding: chunked'], `2;${'a'.repeat(1 << 20)}\r\n{}\r\n0\r\n\r\n`), 400);
  await refuses('coding', ask(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'), 400);
  const trailer = await raw(keyed.port, ask(['Transfer-Encoding: chunked', 'Connection: close'],
    `${body.length.toString(16)}\r\n${body}\r\n0\r\nAuthorization: Bearer k\r\nx-api-key: k\r\n\r\n`));
  assert.equal(status(trailer), 401);
});

test('S05 heads without measure: 431, and the memory stays', async () => {
  await alive();
  let most = Infinity; // of two rounds the lesser: threads that are new take memory of their own
  for (let round = 0; round < 2; round++) {
    const had = resident();
    for (const lines of [[`A: ${'b'.repeat(65536)}`], Array.from({ length: 10000 }, (_, i) => `A${i}: b`), [`Cookie: ${'c'.repeat(1 << 20)}`]]) {
      const answer = await refuses('head', ask([...lines, sized()], body), 431);
      assert.match(answer.bytes, /headers_too_large/);
    }
    most = Math.min(most, resident() - had);
  }
  if (!sanitized) assert.ok(most < 1024, `${most} KB more`);
});

// A boundary of 100 KB is a head beyond its limit (431, as S05 wants it of every head); the longest that is let in is 400.
test('S06 boundaries: 100 KB is 431, 8 KB before a body of dashes is 400, each within 10 ms; more dashes cost no more than their bytes', async () => {
  const multipart = (boundary, text) => raw(server.port, ask([`Content-Type: multipart/form-data; boundary=${'-'.repeat(boundary)}`, sized(text), 'Connection: close'], text));
  const best = async (wanted, ...what) => { // of several: the machine may be busy
    let least = Infinity;
    for (let i = 0; i < 8; i++) {
      const answer = await multipart(...what);
      assert.equal(status(answer), wanted);
      least = Math.min(least, answer.ms);
    }
    return least;
  };
  const body_ = `${'-'.repeat(8194)}--\r\n`;
  assert.ok(await best(431, 100 << 10, body_) < 10 * slack);
  assert.ok(await best(400, 8192, body_) < 10 * slack);
  const [one, four] = [await best(400, 8192, '-'.repeat(1 << 20)), await best(400, 8192, '-'.repeat(4 << 20))];
  assert.ok(four < 8 * one + 10, `${one} ms for 1 MB, ${four} ms for 4 MB`);
});

test('S07 packed bodies are refused unread', async () => {
  const zeros = Buffer.alloc(1 << 20);
  for (const [coding, packed] of [['gzip', gzipSync(zeros)], ['deflate', deflateSync(zeros)], ['br', brotliCompressSync(zeros)], ['gzip, gzip', gzipSync(gzipSync(zeros))]]) {
    const { status: code, json } = await post(`${server.base}/chat/completions`, packed, { 'content-encoding': coding });
    assert.deepEqual([code, json.error.code], [400, 'unsupported_media_type']);
  }
  const early = dial(ask(['Content-Encoding: gzip', 'Content-Length: 1000000'])); // answered before any of the body has come
  await eventually('an answer', () => early.got.includes('unsupported_media_type'), 2000);
  early.destroy();
});

test('S08 a thousand requests at once on one connection, in order; half of them, then a reset', async () => {
  const many = Array.from({ length: 1000 }, (_, i) => ask([`x-request-id: n${i}`, sized()], body)).join('');
  const { bytes } = await raw(server.port, many, { done: (got) => got.includes('x-request-id: n999') });
  const order = [...bytes.matchAll(/x-request-id: n(\d+)\r/g)].map((m) => Number(m[1]));
  assert.deepEqual(order, Array.from({ length: 1000 }, (_, i) => i));
  for (let i = 0; i < 20; i++) {
    const socket = dial(many.slice(0, many.length / 2 + i));
    await eventually('some answers', () => socket.got.length > 1000, 5000);
    socket.resetAndDestroy();
  }
  await Promise.all(Array.from({ length: 64 }, () => alive()));
});

test('S09 F32 who is slow loses its place: head, body, reading', async () => {
  const started = performance.now();
  const slowHead = dial('POST /v1/chat/completions HTTP/1.1\r\nHost: lo');
  const drip = setInterval(() => slowHead.writable && slowHead.write('c'), 200);
  const slowBody = dial(ask(['Content-Length: 100'], '{"mess'));
  await Promise.all([slowHead.over, slowBody.over]);
  clearInterval(drip);
  assert.ok(performance.now() - started < 3000 * slack);
  for (const socket of [slowHead, slowBody]) assert.match(socket.got, /^HTTP\/1\.1 408 [^]*request_timeout/);
});

test('S09 F31 a client that stops reading: a bounded buffer, the upstream waits, then the client is dropped', async () => {
  const text = JSON.stringify({ model: 'flood', stream: true, messages: user('hi') });
  const had = resident(), socket = dial(null);
  socket.pause();
  socket.write(ask([sized(text)], text));
  const rq = await eventually('the call', () => upstream.requests.find((r) => r.json.model === 'flood'));
  await sleep(700);
  const sent = rq.socket.bytesWritten - rq.socket.writableLength;
  assert.ok(sent < 40e6, `${sent} bytes of 64 MB were taken`); // what the kernel's buffers hold, and 256 KiB
  if (!sanitized) assert.ok(resident() - had < 16384, `${resident() - had} KB more`);
  await eventually('the end of the call', () => rq.closedAt, 6000 * slack); // write_timeout is 2 s
  socket.destroy();
  await alive();
});

test('S10 F32 ten thousand idle connections: a cap, the oldest makes place, new clients are served', async () => {
  const idle = [], n = sanitized ? 1000 : 10000;
  for (let i = 0; i < n; i++) {
    idle.push(dial(null));
    if (i % 200 === 199) await Promise.all(idle.slice(-200).map((s) => s.open));
    if (i % 2000 === 1999) await alive();
  }
  const gone = (s) => s.destroyed || s.readableEnded || s.closed;
  await eventually('the oldest to be closed', () => idle.slice(0, -256).every(gone), 10000);
  await alive();
  assert.ok(idle.slice(-200).every((s) => !gone(s)), 'somebody who had just come was turned away');
  for (const socket of idle) socket.destroy();
});

test('S11 other protocols: a clean end', async () => {
  for (const bytes of ['GET /health\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', Buffer.from('16030100ca010000c60303', 'hex'), 'GET / HTTP/3.0\r\nHost: localhost\r\n\r\n', '\0\0\0\0']) {
    const answer = await raw(server.port, bytes);
    assert.ok([400, 505].includes(status(answer)), JSON.stringify(answer));
    assert.notEqual(answer.ended, 'enough');
  }
  assert.equal(status(await raw(server.port, 'GET /health HTTP/1.0\r\n\r\n')), 200);
});

test('S12 paths that mean another: there is none', async () => {
  for (const where of ['//v1/../admin', '/v1/../admin', '/v1/%2e%2e/admin', '/v1/models%00', '/health%00', '/%c0%ae%c0%ae/etc/passwd', '/..\\..\\etc\\passwd', '/v1//models', '/./health', '/%2fhealth'])
    assert.equal(status(await raw(server.port, head([`GET ${where} HTTP/1.1`, 'Host: localhost', 'Connection: close']))), 404, where);
});

test('S13 a foreign Host with keys, an absolute path, CONNECT', async () => {
  assert.equal(status(await raw(keyed.port, head(['GET /v1/models HTTP/1.1', 'Host: evil.example', 'Authorization: Bearer k', 'Connection: close']))), 200);
  assert.equal(status(await raw(server.port, head(['GET http://localhost/health HTTP/1.1', 'Host: evil.example', 'Connection: close']))), 200);
  await refuses('CONNECT', head(['CONNECT evil.example:443 HTTP/1.1', 'Host: localhost']), 405);
  await refuses('no host', head(['GET /health HTTP/1.1']), 400);
  await refuses('two hosts', head(['GET /health HTTP/1.1', 'Host: localhost', 'Host: localhost']), 400);
});

test('S14 line breaks in names reach neither headers nor the log', async () => {
  const evil = 'hello\r\nX-Evil: 1\n\nGET /x';
  for (const what of [{ model: evil }, { model: 'hello', user: evil }, { model: 'hello', tools: [{ type: 'function', function: { name: evil } }] }]) {
    const { headers } = await server.chat({ messages: user('hi'), ...what }, { 'x-request-id': 'a%0d%0ab' });
    assert.equal(headers['x-evil'], undefined);
    assert.match(headers['x-request-id'], /^req_/);
  }
  assert.ok(server.stderr.split('\n').every((line) => !line || /^\S+ (error|warn|info|debug) |^\S+=|^\d{4}-|^tandem|^time/.test(line)), server.stderr.slice(0, 500));
  assert.ok(!/^X-Evil|^GET/m.test(server.stderr));
});

test('S15 pages of other origins, and names that were made to point here', async () => {
  for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'http://localhost'])
    assert.equal((await server.chat({ messages: user('hi') }, { origin })).json?.error?.code, 'origin_not_allowed', origin);
  assert.equal((await server.chat({ messages: user('hi') }, { origin: `http://127.0.0.1:${server.port}` })).status, 200);
  const good = await server.chat({ messages: user('hi') }, { origin: 'https://good.example' });
  assert.deepEqual([good.status, good.headers['access-control-allow-origin'], good.headers.vary], [200, 'https://good.example', 'Origin']);
  const preflight = (origin) => request(`${server.base}/chat/completions`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
  assert.deepEqual([(await preflight('https://good.example')).status, (await preflight('https://evil.example')).status], [204, 403]);
  for (const [host, wanted] of [['evil.example', 403], [`evil.example:${server.port}`, 403], ['localhost.evil.example', 403], ['LOCALHOST:80', 200], ['127.0.0.1', 200], ['[::1]:8080', 200]])
    assert.equal(status(await raw(server.port, head(['GET /v1/models HTTP/1.1', `Host: ${host}`, 'Connection: close']))), wanted, host);
});

test('S16 WebSocket: 426', async () => {
  await refuses('upgrade', head(['GET /v1/responses HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==']), 426);
});

test('S36 F42 deep nesting: refused with a constant stack', async () => {
  for (const deep of ['['.repeat(1e6), '{"a":'.repeat(1e5), `{"messages":${'['.repeat(65)}${']'.repeat(65)}}`]) {
    const { status: code, json } = await post(`${server.base}/chat/completions`, deep);
    assert.deepEqual([code, json.error.code], [400, 'invalid_json'], deep.slice(0, 20));
  }
  await alive();
});

test('S37 of duplicate keys one value survives, and the upstream sees that one alone', async () => {
  const text = '{"model":"hello","model":"masked","messages":[{"role":"user","content":"ann@corp.example","content":"bob@corp.example"}]}';
  const before_ = upstream.requests.length;
  const answer = await post(`${server.base}/chat/completions`, text);
  if (answer.status === 400) return;
  assert.equal(answer.status, 200);
  const [rq] = upstream.requests.slice(before_);
  assert.ok(!rq.body.includes('@corp.example'));
  assert.equal(rq.body.match(/"content"/g).length, 1);
  assert.equal(answer.json.choices[0].message.content, 'You said: bob@corp.example');
});

test('S38 text that is no text: 400, or the same replacement for everybody', async () => {
  const send = (content) => post(`${server.base}/chat/completions`, Buffer.concat([Buffer.from('{"model":"far","messages":[{"role":"user","content":"'), content, Buffer.from('"}]}')]));
  for (const odd of [Buffer.from('\\ud800'), Buffer.from('\\udc00\\ud800'), Buffer.from([0xff]), Buffer.from([0xc0, 0xaf]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('\\u0000'), Buffer.from([0])]) {
    const before_ = upstream.requests.length, answer = await send(odd);
    if (answer.status === 400) continue;
    assert.equal(answer.status, 200, odd.toString('hex'));
    const said = upstream.requests[before_].json.messages[0].content;
    assert.ok(!/[\ud800-\udfff]/.test(said), odd.toString('hex'));
    assert.equal(answer.json.choices[0].message.content, `You said: ${said}`);
  }
  const { status: code } = await post(`${server.base}/chat/completions`, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(body)]));
  assert.ok([200, 400].includes(code));
});

test('S60 one port is open, that of the settings', { skip: sanitized }, () => {
  const sockets = new Set(readdirSync(`/proc/${server.child.pid}/fd`).map((fd) => {
    try { return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${server.child.pid}/fd/${fd}`))?.[1]; } catch { return undefined; }
  }));
  const open = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((kind) => readFileSync(`/proc/net/${kind}`, 'utf8').trim().split('\n').slice(1)
    .map((line) => line.trim().split(/\s+/)).filter((f) => sockets.has(f[9]) && (kind.startsWith('udp') || f[3] === '0A')));
  assert.deepEqual(open.map((f) => parseInt(f[1].split(':').at(-1), 16)), [server.port]);
});

test('S41 what is too large is refused before it is read', async () => {
  const started = performance.now();
  for (const lines of [['Content-Length: 104857600'], ['Content-Length: 99999999999999999']]) {
    const socket = dial(ask(lines, '{"messages":['));
    await eventually('413', () => /^HTTP\/1\.1 413 [^]*request_too_large/.test(socket.got), 2000);
    socket.destroy();
  }
  assert.ok(performance.now() - started < 1000 * slack);
  const endless = dial(ask(['Transfer-Encoding: chunked']));
  const piece = `100000\r\n${'['.repeat(1 << 20)}\r\n`;
  for (let i = 0; i < 40 && !endless.got; i++) {
    endless.write(piece);
    await sleep(2);
  }
  await eventually('413 of chunks', () => endless.got.startsWith('HTTP/1.1 413'), 5000);
  endless.destroy();
  await alive();
});

test('S50 many streams with everything asked for: memory per stream stays small', async () => {
  assert.equal((await server.chat({ messages: user('hi'), stream: true, n: 128, logprobs: true, top_logprobs: 20 })).status, 400);
  const text = JSON.stringify({ model: 'slow', stream: true, n: 4, logprobs: true, top_logprobs: 20, messages: user('hi') });
  const had = resident();
  const sockets = Array.from({ length: 60 }, () => dial(ask([sized(text)], text)));
  await eventually('words in every stream', () => sockets.every((s) => s.got.includes('data:')), 10000 * slack);
  await sleep(300);
  const each = (resident() - had) / sockets.length;
  if (!sanitized) assert.ok(each < 512, `${each} KB per stream`);
  for (const socket of sockets) socket.destroy();
});

test('F29 a client that leaves: the upstream is closed within 50 ms', async () => {
  const left = [];
  for (let i = 0; i < 5; i++) {
    const before_ = upstream.requests.length, text = JSON.stringify({ model: 'endless', stream: i % 2 === 0, messages: user('hi') });
    const socket = dial(ask([sized(text)], text));
    const rq = await eventually('the call', () => upstream.requests[before_]);
    if (i % 2 === 0) await eventually('words', () => socket.got.includes('word'));
    const at = performance.now();
    socket.destroy();
    await eventually('the end of the call', () => rq.closedAt);
    left.push(rq.closedAt - at);
  }
  left.sort((a, b) => a - b);
  assert.ok(left[2] < 50 * slack, `${left} ms`);
});

test('F30 a client that closes its sending side has left, or with half_close is answered', async () => {
  const text = JSON.stringify({ model: 'slow', messages: user('hi') });
  const gone = await raw(server.port, ask([sized(text)], text), { half: true });
  assert.ok(!gone.bytes.includes(' 200 '), gone.bytes);
  const quick = JSON.stringify({ model: 'hello', messages: user('hi') });
  const answered = await raw(keyed.port, ask(['Authorization: Bearer k', sized(quick)], quick), { half: true });
  assert.equal(status(answered), 200);
});

test('F33 F34 no file descriptor left: new clients are told, the others go on, and no core is burnt', async () => {
  const limited = writeTemp('limited', `#!/bin/sh\nulimit -n 48\nexec ${program} serve "$@"\n`);
  chmodSync(limited, 0o755);
  const small = await startTandem(`
models:
  hello: {kind: script, answers: ["Hello world"]}
  far: {kind: remote, url: "${upstream.url}", model: echo}
serve: {default: far, connections: 64}
`, { command: limited });
  const first = dial(null, small);
  await sleep(100);
  const crowd = Array.from({ length: 80 }, () => dial(null, small));
  await eventually('somebody to be turned away', () => crowd.some((s) => /^HTTP\/1\.1 503/.test(s.got)), 5000);
  const ticks = () => readFileSync(`/proc/${small.child.pid}/stat`, 'utf8').split(' ').slice(13, 15).reduce((a, b) => a + Number(b), 0);
  const had = ticks();
  const text = JSON.stringify({ model: 'far', messages: user('hi') });
  first.write(ask([sized(text)], text));
  await eventually('an answer for the first', () => /^HTTP\/1\.1 503 [^]*no file descriptor/.test(first.got), 5000);
  await sleep(500);
  assert.ok(ticks() - had < 30 * slack, `${ticks() - had} ticks`);
  for (const socket of [first, ...crowd]) socket.destroy();
  await eventually('a new client to be served', async () => (await small.chat({ model: 'hello', messages: user('hi') }).catch(() => ({}))).status === 200);
  await small.stop();
});

test('after all of this the server answers, and nothing is under way', async () => {
  await alive();
  await alive(keyed);
});
