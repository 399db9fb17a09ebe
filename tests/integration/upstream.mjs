// A stand-in for a remote model: an OpenAI-compatible endpoint over a plain socket, so that every byte it receives is kept
// and every byte it sends is chosen. What it does is chosen by the `model` of the request, or by `behaviour`.
import net from 'node:net';

const head = (status, type, extra = '') => `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n${extra}`;
const streamHead = head('200 OK', 'text/event-stream', 'Transfer-Encoding: chunked\r\n\r\n');
export const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
export const event = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const base = { id: 'up-1', object: 'chat.completion.chunk', created: 1, model: 'big-upstream-1' };
export const delta = (d, finish = null) => event({ ...base, choices: [{ index: 0, delta: d, finish_reason: finish }] });
export const usage = (prompt, completion) => event({ ...base, choices: [],
  usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion } });

// A whole answer as its pieces on the wire.
export function wholeStream(pieces) {
  return [streamHead, chunk(delta({ role: 'assistant', content: '' })), ...pieces.map((p) => chunk(delta({ content: p }))),
    chunk(delta({}, 'stop')), chunk(usage(7, pieces.length)), chunk(event('[DONE]')), '0\r\n\r\n'];
}

export function jsonAnswer(status, body, extra = '') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return [head(status, 'application/json', `Content-Length: ${Buffer.byteLength(text)}\r\n${extra}\r\n`), text];
}

// behaviour(request) may return the pieces of an answer (strings or Buffers), {pieces, cut: true} to close after them,
// or {pieces, delay: ms}; undefined means the standard answers below.
export async function startUpstream(behaviour = () => undefined) {
  const upstream = { requests: [], received: '', behaviour };
  const sockets = new Set();
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true); // as every server of streams does
    let got = Buffer.alloc(0);
    socket.on('data', (d) => {
      got = Buffer.concat([got, d]);
      upstream.received += d.toString('latin1');
      for (let rq; (rq = takeRequest(got)); ) {
        got = got.subarray(rq.length);
        upstream.requests.push(rq);
        rq.socket = socket;
        answer(socket, rq, upstream.behaviour(rq) ?? standard(rq)).catch(() => {});
      }
    });
    const closed = () => {
      sockets.delete(socket);
      for (const rq of upstream.requests) if (rq.socket === socket) rq.closedAt ??= performance.now();
    };
    socket.on('end', closed);
    socket.on('close', closed);
    socket.on('error', closed);
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  listener.unref();
  upstream.url = `http://127.0.0.1:${listener.address().port}/v1`;
  upstream.close = () => new Promise((resolve) => {
    for (const socket of sockets) socket.destroy();
    listener.close(resolve);
  });
  return upstream;
}

function takeRequest(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const headText = bytes.subarray(0, end).toString('latin1');
  const length = Number(/^content-length: *(\d+)/im.exec(headText)?.[1] ?? 0);
  if (bytes.length < end + 4 + length) return null;
  const body = bytes.subarray(end + 4, end + 4 + length).toString();
  return { head: headText, body, json: JSON.parse(body), length: end + 4 + length };
}

function standard(rq) {
  const { model, messages } = rq.json;
  if (model === 'endless') return { pieces: wholeStream(Array(2000).fill('word ')), delay: 10 };
  if (model === 'mute') return { pieces: [], hold: true };
  if (model === 'echo') return wholeStream([...`You said: ${messages.at(-1).content}`]);
  return wholeStream(['Hello ', 'from ', 'upstream']);
}

async function answer(socket, rq, what) {
  const { pieces, delay = 0, cut = false, reset = false } = Array.isArray(what) ? { pieces: what } : what;
  for (const piece of pieces) {
    if (socket.destroyed) return;
    socket.write(piece);
    if (delay) await new Promise((r) => setTimeout(r, delay));
  }
  if (reset) socket.resetAndDestroy();
  else if (cut) socket.end();
}
