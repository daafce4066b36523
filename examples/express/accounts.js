import { scryptSync, timingSafeEqual } from 'node:crypto';

// Stands in for a users table. Id 0 is here because it is a valid user that careless checks miss.
const accounts = [
  { id: 42, name: 'alice', roles: ['admin', 'editor'] },
  { id: 7, name: 'bob', roles: ['editor'] },
  { id: 0, name: 'zero', roles: [] },
];

// scrypt of "demo", the password of every demo account.
const salt = Buffer.from('2f6c1e0b9ad84c53a7e1d0f4b8639a15', 'hex');
const hash = Buffer.from('567c87fba8b0e6d6f3cfa55802b695845281243d01ab4569c1a4f060e1bb81b7', 'hex');

export function authenticate(name, password) {
  // Verified for unknown names too: the time an answer takes does not tell which names exist.
  const ok = timingSafeEqual(scryptSync(password, salt, hash.length), hash);
  return (ok && accounts.find((account) => account.name === name)) || null;
}

export function accountById(id) {
  return accounts.find((account) => account.id === id) ?? null;
}
