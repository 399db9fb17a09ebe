// Key: the API key of this tab, for servers that want one. It stays in the tab's session and goes nowhere but into the
// authorization header. onChange is told when there is a new one.
import { find, h } from '/web/dom.js';

const NAME = 'tandem-key';
export const key = () => sessionStorage.getItem(NAME) ?? '';

export function showKeyField(onChange) {
  const place = find('key');
  if (place.childElementCount) return;
  const input = h('input', { id: 'key-value', type: 'password', autocomplete: 'off', spellcheck: 'false' });
  const form = h('form', { class: 'key card' },
    h('div', null, h('label', { for: 'key-value' }, 'API key of this server'), input),
    h('button', { class: 'main', type: 'submit' }, 'Use it'),
    h('p', { class: 'small soft' }, 'This server asks for a key. It is kept in this tab until the tab is closed.'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!input.value) return;
    sessionStorage.setItem(NAME, input.value);
    place.replaceChildren();
    onChange();
  });
  place.replaceChildren(form);
  input.focus();
}
