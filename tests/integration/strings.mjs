// Strings that have ever confused a tokenizer, alone, repeated, and put together in seeded order.
import { random } from './lib.mjs';

const PARTS = [
  ' ', '  ', '   ', '\n', '\n\n', '\r\n', '\t', ' \n', '\u00a0', '\u3000', '\u2003', '\u180e', '\u200b', '\u0085', '\u2028',
  'a', 'B', 'é', 'e\u0301', 'ß', 'İ', '日本語', '한국어', 'العربية', 'עברית', 'ไทย', 'हिन्दी', 'Ελλάδα', 'мир', '🙂', '👨‍👩‍👧‍👦', '🏳️‍🌈',
  '🇩🇪', '❤️', '0', '7', '42', '3.14159', '1,000,000', '٣٤', 'Ⅷ', '½', '²', '①', "'s", "'t", "'re", "'LL", "don't", "it's", '...',
  '!?', '—', '“q”', '«x»', '$5', '€7', '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|eot_id|>', '</s>', '<s>', '<unk>', '[INST]',
  '<<SYS>>', '<0x0A>', '▁', 'Ġ', 'Ċ', '{"k": [1, 2]}', 'for (int i = 0; i < n; i++) {', '\tif (x != NULL)\n\t\treturn -1;\n',
  'def f(x):\n    return x**2', 'http://a.b/c?d=e&f=%20', 'foo@bar.com', 'PERSON_00A7KQ2F', 'ABC123', 'x_y-z', 'CamelCase', '\u0000',
  '\u0007', '\u007f', '\ufffd', '\ufeff', '\u{10ffff}', '𝔘𝔫𝔦', 'ǅ', 'ﬁ', 'Ａ１', '´', '`', '^', '~', '+', '=', '|', '\\', '々', '〇',
  'What is 17 + 25?', 'the quick brown fox', 'Sort these numbers: 5, 3, 9.',
];

export function makeStrings(count) {
  const below = random(7), strings = [...PARTS];
  for (const c of [' ', 'a', '\n', '1', '!', 'é', '😀', '\t', '= ']) strings.push(c.repeat(300));
  while (strings.length < count) {
    let s = '';
    const pieces = strings.length % 2;
    for (let k = below(12) + 1; k > 0; k--)
      s += pieces ? PARTS[below(PARTS.length)] : String.fromCodePoint(below(0x3000)) + (below(3) ? '' : ' ');
    strings.push(s);
  }
  return strings;
}
// Characters that Unicode 15 (llama.cpp) knows and Unicode 14 (PCRE2 10.42) does not are of another class for each.
export const NEW_IN_15 = /[\u0cf3\u0ece]/;
