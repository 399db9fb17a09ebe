// Weight files made here, from random numbers: an independent writer of the format, so that the reader is not only
// tested with what its own side writes. Llama architecture; byte-level BPE or SentencePiece-BPE vocabulary.
import { writeFileSync } from 'node:fs';
import { random } from './lib.mjs';

export const TYPES = { F32: 0, F16: 1, Q8_0: 8 };
const VALUE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10 };

class Writer {
  parts = [];
  raw(b) {
    this.parts.push(b);
    return this;
  }
  number(bytes, method, value) {
    const b = Buffer.alloc(bytes);
    b[method](value);
    return this.raw(b);
  }
  u32(v) {
    return this.number(4, 'writeUInt32LE', v);
  }
  u64(v) {
    return this.number(8, 'writeBigUInt64LE', BigInt(v));
  }
  string(s) {
    const b = Buffer.isBuffer(s) ? s : Buffer.from(s);
    return this.u64(b.length).raw(b);
  }
  scalar(type, v) {
    if (type === 'string') return this.string(v);
    if (type === 'f32') return this.number(4, 'writeFloatLE', v);
    if (type === 'i32') return this.number(4, 'writeInt32LE', v);
    if (type === 'bool') return this.number(1, 'writeUInt8', v ? 1 : 0);
    return type === 'u64' ? this.u64(v) : this.u32(v);
  }
  keyValue([key, type, value]) {
    this.string(key);
    if (!Array.isArray(value)) return this.u32(VALUE[type]).scalar(type, value);
    this.u32(VALUE.array).u32(VALUE[type]).u64(value.length);
    for (const v of value) this.scalar(type, v);
    return this;
  }
  bytes() {
    return Buffer.concat(this.parts);
  }
}

function toHalf(x) { // round to nearest even; the values here are small and finite
  const f = new Float32Array([x]), u = new Uint32Array(f.buffer)[0];
  const sign = (u >>> 16) & 0x8000, exponent = ((u >>> 23) & 255) - 112;
  let mantissa = u & 0x7fffff;
  if (exponent <= 0) {
    if (exponent < -10) return sign;
    mantissa = (mantissa | 0x800000) >>> 0;
    const shift = 14 - exponent, half = mantissa >>> shift, rest = mantissa & ((1 << shift) - 1), tie = 1 << (shift - 1);
    return sign | (half + (rest > tie || (rest === tie && half & 1) ? 1 : 0));
  }
  const half = (exponent << 10) | (mantissa >>> 13), rest = mantissa & 0x1fff;
  return sign | (half + (rest > 0x1000 || (rest === 0x1000 && half & 1) ? 1 : 0));
}

export function encode(type, values) {
  if (type === 'F32') return Buffer.from(Float32Array.from(values).buffer);
  if (type === 'F16') return Buffer.from(Uint16Array.from(values, toHalf).buffer);
  const out = Buffer.alloc((values.length / 32) * 34);
  for (let block = 0; block < values.length / 32; block++) {
    const x = values.slice(block * 32, block * 32 + 32);
    const d = Math.max(...x.map(Math.abs)) / 127;
    out.writeUInt16LE(toHalf(d), block * 34);
    x.forEach((v, i) => out.writeInt8(d ? Math.round(v / d) : 0, block * 34 + 2 + i));
  }
  return out;
}

// --- vocabularies

const WORDS = ('the and of to in is it that was for on are with as at be this have from or one had by but not what all were we '
  + 'when your can said there use an each which she do how their if will up other about out many then them these so some her '
  + 'would make like him into time has look two more write go see number no way could people my than first water been call who '
  + 'oil its now find long down day did get come made may part return int for while').split(' ');
const SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];

// The visible characters that stand for bytes in a byte-level vocabulary.
export function byteCharacters() {
  const plain = [];
  for (const [a, b] of [[33, 126], [161, 172], [174, 255]]) for (let c = a; c <= b; c++) plain.push(c);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(plain.includes(b) ? b : next++));
}

function bpeVocabulary(pre) {
  const characters = byteCharacters(), pieces = [...characters], merges = [];
  for (const word of WORDS.flatMap((w) => [w, ` ${w}`])) {
    const letters = [...Buffer.from(word)].map((b) => characters[b]);
    for (let i = 1, left = letters[0]; i < letters.length; i++) {
      const merged = left + letters[i];
      if (!pieces.includes(merged)) {
        pieces.push(merged);
        merges.push(`${left} ${letters[i]}`);
      }
      left = merged;
    }
  }
  const tokens = [...pieces, ...SPECIALS], id = (s) => tokens.indexOf(s);
  return {
    n: tokens.length,
    keys: [
      ['tokenizer.ggml.model', 'string', 'gpt2'], ['tokenizer.ggml.pre', 'string', pre],
      ['tokenizer.ggml.tokens', 'string', tokens], ['tokenizer.ggml.merges', 'string', merges],
      ['tokenizer.ggml.token_type', 'i32', tokens.map((t) => (SPECIALS.includes(t) ? 3 : 1))],
      ['tokenizer.ggml.bos_token_id', 'u32', id('<|endoftext|>')], ['tokenizer.ggml.eos_token_id', 'u32', id('<|im_end|>')],
      ['tokenizer.ggml.add_bos_token', 'bool', false],
    ],
  };
}

function spmVocabulary() {
  const tokens = ['<unk>', '<s>', '</s>'], types = [2, 3, 3], scores = [0, 0, 0];
  const add = (piece, type, score) => {
    if (tokens.includes(piece)) return;
    tokens.push(piece);
    types.push(type);
    scores.push(score);
  };
  for (let b = 0; b < 256; b++) add(`<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`, 6, 0);
  let rank = 0;
  for (const word of WORDS.flatMap((w) => [`▁${w}`, w]))
    for (let n = 2; n <= word.length; n++) add(word.slice(0, n), 1, -rank++);
  for (const c of '▁etaoinsrhldcumfpgwybvkxqjzETAOINSRHLDCUMFPGWYBVKXQJZ0123456789.,!?\'"-()éüñ日本語') add(c, 1, -1000 - rank++);
  add('▁▁', 1, -500);
  add('▁▁▁▁', 1, -501);
  return {
    n: tokens.length,
    keys: [
      ['tokenizer.ggml.model', 'string', 'llama'], ['tokenizer.ggml.pre', 'string', 'default'],
      ['tokenizer.ggml.tokens', 'string', tokens], ['tokenizer.ggml.scores', 'f32', scores],
      ['tokenizer.ggml.token_type', 'i32', types], ['tokenizer.ggml.bos_token_id', 'u32', 1],
      ['tokenizer.ggml.eos_token_id', 'u32', 2], ['tokenizer.ggml.unknown_token_id', 'u32', 0],
      ['tokenizer.ggml.add_bos_token', 'bool', true], ['tokenizer.ggml.add_space_prefix', 'bool', true],
    ],
  };
}

// --- models

function tensorsOf(o, nVocab, below) {
  const gauss = () => below(2 ** 30) / 2 ** 30 + below(2 ** 30) / 2 ** 30 + below(2 ** 30) / 2 ** 30 - 1.5;
  const fill = (n, scale) => Array.from({ length: n }, () => gauss() * scale);
  const list = [];
  const matrix = (name, rows, columns, scale = 2 / Math.sqrt(columns)) => list.push({ name, dims: [columns, rows], type: o.type,
    data: encode(o.type, fill(rows * columns, scale)) });
  const norm = (name) => list.push({ name, dims: [o.width], type: 'F32',
    data: encode('F32', Array.from({ length: o.width }, () => 1 + gauss() * 0.1)) });
  const kv = (o.width / o.heads) * o.kvHeads;
  matrix('token_embd.weight', nVocab, o.width, 1);
  for (let i = 0; i < o.layers; i++) {
    norm(`blk.${i}.attn_norm.weight`);
    matrix(`blk.${i}.attn_q.weight`, o.width, o.width);
    matrix(`blk.${i}.attn_k.weight`, kv, o.width);
    matrix(`blk.${i}.attn_v.weight`, kv, o.width);
    matrix(`blk.${i}.attn_output.weight`, o.width, o.width);
    norm(`blk.${i}.ffn_norm.weight`);
    matrix(`blk.${i}.ffn_gate.weight`, o.ff, o.width);
    matrix(`blk.${i}.ffn_up.weight`, o.ff, o.width);
    matrix(`blk.${i}.ffn_down.weight`, o.width, o.ff);
  }
  norm('output_norm.weight');
  if (!o.tied) matrix('output.weight', nVocab, o.width);
  return list;
}

const standard = { type: 'F32', vocabulary: 'bpe', pre: 'smollm', width: 64, layers: 2, heads: 4, kvHeads: 2, ff: 160,
  context: 512, tied: false, ropeBase: 10000, epsilon: 1e-5, seed: 1, name: 'random' };
const CHATML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
  + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// {bytes, header: length of everything before the tensors' data}
export function makeModel(options = {}) {
  const o = { ...standard, ...options };
  const vocabulary = o.vocabulary === 'spm' ? spmVocabulary() : bpeVocabulary(o.pre);
  const tensors = tensorsOf(o, vocabulary.n, random(o.seed));
  const keys = [
    ['general.architecture', 'string', 'llama'], ['general.name', 'string', o.name], ['general.alignment', 'u32', 32],
    ['llama.context_length', 'u32', o.context], ['llama.embedding_length', 'u32', o.width], ['llama.block_count', 'u32', o.layers],
    ['llama.feed_forward_length', 'u32', o.ff], ['llama.attention.head_count', 'u32', o.heads],
    ['llama.attention.head_count_kv', 'u32', o.kvHeads], ['llama.rope.dimension_count', 'u32', o.width / o.heads],
    ['llama.rope.freq_base', 'f32', o.ropeBase], ['llama.attention.layer_norm_rms_epsilon', 'f32', o.epsilon],
    ['llama.vocab_size', 'u32', vocabulary.n], ...vocabulary.keys,
    ...(o.vocabulary === 'spm' ? [] : [['tokenizer.chat_template', 'string', CHATML]]), ...(o.extraKeys ?? []),
  ];
  const w = new Writer().raw(Buffer.from('GGUF')).u32(3).u64(tensors.length).u64(keys.length);
  for (const key of keys) w.keyValue(key);
  let offset = 0;
  for (const t of tensors) {
    w.string(t.name).u32(t.dims.length);
    for (const d of t.dims) w.u64(d);
    w.u32(TYPES[t.type]).u64(offset);
    t.offset = offset;
    offset += Math.ceil(t.data.length / 32) * 32;
  }
  const start = w.bytes(), header = Math.ceil(start.length / 32) * 32;
  const bytes = Buffer.alloc(header + offset);
  start.copy(bytes);
  for (const t of tensors) t.data.copy(bytes, header + t.offset);
  return { bytes, header, nVocab: vocabulary.n };
}

export function writeModel(path, options) {
  const made = makeModel(options);
  writeFileSync(path, made.bytes);
  return made;
}

// --- a model of somebody else's with another tokenizer

class Reader {
  at = 0;
  constructor(bytes) {
    this.bytes = bytes;
  }
  take(n) {
    return this.bytes.subarray((this.at += n) - n, this.at);
  }
  u32() {
    return this.take(4).readUInt32LE();
  }
  u64() {
    return Number(this.take(8).readBigUInt64LE());
  }
  string() {
    return this.take(this.u64());
  }
  value(type) {
    if (type === VALUE.string) return this.string();
    if (type === VALUE.f32) return this.take(4).readFloatLE();
    if (type === VALUE.i32) return this.take(4).readInt32LE();
    if (type === VALUE.bool) return this.take(1)[0] === 1;
    return type === VALUE.u64 ? this.u64() : this.u32();
  }
  keyValue() {
    const key = this.string().toString(), type = this.u32(), name = (t) => Object.keys(VALUE).find((k) => VALUE[k] === t);
    if (type !== VALUE.array) return [key, name(type), this.value(type)];
    const inner = this.u32(), n = this.u64();
    return [key, name(inner), Array.from({ length: n }, () => this.value(inner))];
  }
}

// The same weights with every token's number counted from the other end, and without the last `n` merges, so that the
// same text has other tokens. For files with one table for tokens in and out, behind which other tensors stand.
export function renumber(bytes, n) {
  const r = new Reader(bytes);
  r.take(8);
  const nTensors = r.u64(), nKeys = r.u64();
  const keys = Array.from({ length: nKeys }, () => r.keyValue());
  const tensors = Array.from({ length: nTensors }, () => ({ name: r.string(), dims: Array.from({ length: r.u32() }, () => r.u64()),
    type: r.u32(), offset: r.u64() }));
  const data = Buffer.from(bytes.subarray(Math.ceil(r.at / 32) * 32));
  const table = tensors.find((t) => t.name.toString() === 'token_embd.weight'), nVocab = table.dims[1];
  const next = Math.min(...tensors.map((t) => t.offset).filter((o) => o > table.offset));
  const row = Math.floor((next - table.offset) / nVocab), rows = Buffer.from(data.subarray(table.offset, table.offset + row * nVocab));
  for (let i = 0; i < nVocab; i++) rows.copy(data, table.offset + i * row, (nVocab - 1 - i) * row, (nVocab - i) * row);
  const w = new Writer().raw(Buffer.from('GGUF')).u32(3).u64(nTensors).u64(nKeys);
  for (const [key, type, value] of keys) {
    if (key.endsWith('_token_id')) w.keyValue([key, type, nVocab - 1 - value]);
    else if (key === 'tokenizer.ggml.merges') w.keyValue([key, type, value.slice(0, value.length - n)]);
    else if (['tokens', 'token_type', 'scores'].some((k) => key === `tokenizer.ggml.${k}`)) w.keyValue([key, type, value.reverse()]);
    else w.keyValue([key, type, value]);
  }
  for (const t of tensors) {
    w.string(t.name).u32(t.dims.length);
    for (const d of t.dims) w.u64(d);
    w.u32(t.type).u64(t.offset);
  }
  const start = w.bytes();
  return Buffer.concat([start, Buffer.alloc((32 - (start.length % 32)) % 32), data]);
}
