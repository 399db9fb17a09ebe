// Requests to the server that this page came from: JSON, and answers as a stream of events. A failure is always an
// ApiError whose message is a sentence.
import { key } from '/web/key.js';

export class ApiError extends Error {
  constructor(message, { status = 0, code = '', receipt = null } = {}) {
    super(message);
    Object.assign(this, { status, code, receipt });
  }
}

function headers(more) {
  return { ...more, ...(key() ? { authorization: `Bearer ${key()}` } : {}) };
}

// Seeds have up to twenty digits, more than a number of JavaScript holds; they become texts before they are read. A
// quotation mark inside of a JSON text has a backslash, so that nothing else looks like this.
const parse = (text) => JSON.parse(text.replace(/"seed":(\d{16,})/g, '"seed":"$1"'));

async function send(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, credentials: 'omit', redirect: 'error', cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server cannot be reached. Is it still running?');
  }
  if (answer.ok) return answer;
  let body = null;
  try {
    body = parse(await answer.text());
  } catch {}
  throw failure(body, answer.status);
}

// A name or a field at the beginning stays as it is written.
const sentence = (text) => {
  const trimmed = text.trim(), isWord = /^[a-z]+[ ,]/.test(trimmed);
  return (isWord ? trimmed.charAt(0).toUpperCase() : trimmed.charAt(0)) + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? '' : '.');
};

function failure(body, status = 0) {
  const error = body?.error;
  return new ApiError(sentence(error?.message ?? `the server answered with HTTP status ${status}`),
    { status, code: error?.code ?? '', receipt: body?.tandem ?? null });
}

export const getJson = async (path, signal) => parse(await (await send(path, { headers: headers(), signal })).text());

// The data of each event of a stream, as text. Lines may end with \n or \r\n and may be cut anywhere.
async function* eventData(stream) {
  const reader = stream.getReader(), decoder = new TextDecoder();
  let rest = '', data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop();
      for (const line of lines.map((text) => text.replace(/\r$/, ''))) {
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
        else if (line === '' && data.length) {
          yield data.join('\n');
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// The chunks of a chat completion; onReceiptId learns the receipt's id before the first one. A stream that ends without [DONE] was cut, and says so.
export async function* chatChunks(body, signal, onReceiptId) {
  const answer = await send('/v1/chat/completions', {
    method: 'POST', signal, headers: headers({ 'content-type': 'application/json' }), body: JSON.stringify(body),
  });
  onReceiptId?.(answer.headers.get('x-tandem-receipt'));
  try {
    for await (const data of eventData(answer.body)) {
      if (data === '[DONE]') return;
      const chunk = parse(data);
      if (chunk.error) throw failure(chunk);
      yield chunk;
    }
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof ApiError) throw error;
    throw new ApiError('The connection broke before the answer was whole.');
  }
  throw new ApiError('The answer was cut: the stream ended before it was whole.');
}
