// Wrong types and values outside of their range in every documented field of the formats, generated from one table; what
// is unknown; stop strings, schemas, addresses and templates that mean harm.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { post, startTandem, user } from './lib.mjs';
import { startUpstream } from './upstream.mjs';

let server, upstream;
before(async () => {
  upstream = await startUpstream();
  server = await startTandem(`
models:
  said: {kind: script, answers: ["Hello world"]}
  far: {kind: remote, url: "${upstream.url}", model: up}
serve: {default: said}
`);
});
after(async () => {
  await server?.stop();
  await upstream?.close();
});

// A field's types; a number with its range.
const int = (min, max) => ({ types: ['number'], integer: true, min, max });
const num = (min, max) => ({ types: ['number'], min, max });
const of = (...types) => ({ types });
const shared = { model: of('string'), temperature: num(0, 2), top_p: num(0, 1), stream: of('boolean'), tandem: of('object'), top_k: int(0, 1 << 20) };
const openai = { ...shared, max_tokens: int(0), seed: int(), n: int(1, 8), stop: of('string', 'array'), stream_options: of('object'),
  frequency_penalty: num(-2, 2), presence_penalty: num(-2, 2), logit_bias: of('object'), min_p: num(0, 1), repeat_penalty: num(0.01, 10) };
const formats = {
  'chat/completions': { base: { messages: user('hi') }, fields: { ...openai, messages: of('array'), max_completion_tokens: int(0),
    logprobs: of('boolean'), top_logprobs: int(0, 20), tools: of('array'), tool_choice: of('string', 'object'), parallel_tool_calls: of('boolean'),
    response_format: of('object'), reasoning_effort: of('string'), prediction: of('object'), functions: of('array'),
    function_call: of('string', 'object'), modalities: of('array'), web_search_options: of('object'), audio: of('object') } },
  completions: { base: { prompt: 'hi' }, fields: { ...openai, prompt: of('string', 'array'), logprobs: int(0, 20), echo: of('boolean'),
    suffix: of('string'), best_of: int(1, 20) } },
  messages: { base: { messages: user('hi'), max_tokens: 20 }, fields: { ...shared, top_k: int(0), messages: of('array'), max_tokens: int(1), system: of('string', 'array'),
    stop_sequences: of('string', 'array'), tools: of('array'), tool_choice: of('object'), thinking: of('object') } },
};

const typeOf = (v) => (Array.isArray(v) ? 'array' : typeof v);
const values = [true, 'x', '5', 5, [], ['x'], {}, { a: 1 }];
function wrong(field) {
  const out = values.filter((v) => !field.types.includes(typeOf(v))).map((v) => JSON.stringify(v));
  if (!field.types.includes('number')) return out;
  const edges = ['1e999', '-1e999', 'NaN', '9223372036854775808e10'];
  if (field.min !== undefined) edges.push(String(field.min - 1), '-2147483649', '-9223372036854775808');
  if (field.max !== undefined) edges.push(String(field.max + 1), '2147483648', '9223372036854775807', '1000000000');
  if (field.integer) edges.push('1.5', '0.5');
  return [...out, ...edges];
}

for (const [name, { base, fields }] of Object.entries(formats))
  test(`S39 S40 S51 ${name}: wrong types and ranges in all ${Object.keys(fields).length} fields`, async () => {
    let n = 0;
    for (const [field, type] of Object.entries(fields)) {
      for (const text of wrong(type)) {
        const rest = JSON.stringify({ ...base, [field]: undefined });
        const body = `${rest.slice(0, -1)}${rest === '{}' ? '' : ','}"${field}":${text}}`;
        const { status, json } = await post(`${server.base}/${name}`, body);
        assert.equal(status, 400, `${field}: ${text} gave ${status} ${JSON.stringify(json)?.slice(0, 200)}`);
        assert.ok(json.error.message && json.error.type, `${field}: ${text}`);
        if (name !== 'messages' && json.error.code !== 'invalid_json')
          assert.ok(json.error.param?.startsWith(field), `${field}: ${text}: param ${json.error.param}`);
        n++;
      }
      const none = await post(`${server.base}/${name}`, { ...base, [field]: field in base ? base[field] : null });
      assert.equal(none.status, 200, `${field}: null equals absent: ${JSON.stringify(none.json)?.slice(0, 200)}`);
    }
    assert.ok(n > 100, `${n}`);
  });

test('S46 S51 unknown fields, templates among them, are ignored and go nowhere', async () => {
  const odd = { chat_template: '{{ evil }}', chat_template_kwargs: { a: '{{ evil }}' }, user: 7, metadata: [1], store: 'x', nonsense: { deep: ['evil'] } };
  for (const [name, { base }] of Object.entries(formats)) {
    const { status } = await post(`${server.base}/${name}`, { ...base, ...odd, metadata: undefined,
      model: name === 'completions' ? 'said' : 'far' }); // that upstream has no completions
    assert.equal(status, 200, name);
  }
  assert.ok(!upstream.received.includes('evil'));
  for (const [name, { base }] of Object.entries(formats))
    assert.equal((await post(`${server.base}/${name}`, { ...base, tandem: { nonsense: 1 } })).status, 400, 'but never inside tandem');
});

test('S52 stop strings: a megabyte, ten thousand, an empty one', async () => {
  for (const [name, { base }] of Object.entries(formats)) {
    const field = name === 'messages' ? 'stop_sequences' : 'stop';
    for (const stop of [['x'.repeat(1 << 20)], Array(10000).fill('a'), ['']])
      assert.equal((await post(`${server.base}/${name}`, { ...base, [field]: stop })).status, 400, `${name} ${stop.length}`);
    assert.equal((await post(`${server.base}/${name}`, { ...base, [field]: Array(16).fill('zzz') })).status, 200);
  }
});

test('S43 a schema that is none is refused, and the server goes on', async () => {
  for (const schema of [{ type: 5 }, { type: 'string', pattern: '(' }, { type: 'object', properties: [] }, { $ref: '#/nowhere' }]) {
    const { status } = await server.chat({ messages: user('hi'), response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } });
    assert.equal(status, 400, JSON.stringify(schema));
  }
  for (const parameters of [5, 'x', [], true])
    assert.equal((await server.chat({ messages: user('hi'), tools: [{ type: 'function', function: { name: 'f', parameters } }] })).status, 400);
  assert.equal((await server.chat({ messages: user('hi') })).status, 200);
});

test('S30 addresses in a request are text or refused: nothing is fetched', async () => {
  const urls = [`${upstream.url}/fetched`, 'http://169.254.169.254/latest', 'http://[::1]/fetched', 'http://0x7f.1/fetched', 'http://2130706433/fetched',
    'http://[::ffff:127.0.0.1]/fetched', 'http://127。0。0。1/fetched', 'file:///etc/passwd'];
  for (const url of urls) {
    for (const part of [{ type: 'image_url', image_url: { url } }, { type: 'file', file: { file_url: url } }, { type: 'input_audio', input_audio: { url } }])
      assert.equal((await server.chat({ messages: [{ role: 'user', content: [part] }] })).json.error.code, 'unsupported_content');
    const image = { type: 'image', source: { type: 'url', url } };
    assert.equal((await post(`${server.base}/messages`, { max_tokens: 5, messages: [{ role: 'user', content: [image] }] })).status, 400);
  }
  assert.ok(!upstream.received.includes('fetched'));
});
