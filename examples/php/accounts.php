<?php
declare(strict_types=1);

// Stands in for a users table. Id 0 is here because it is a valid user that careless checks miss.
const ACCOUNTS = [
    'alice' => ['id' => 42, 'name' => 'alice', 'roles' => ['admin', 'editor']],
    'bob' => ['id' => 7, 'name' => 'bob', 'roles' => ['editor']],
    'zero' => ['id' => 0, 'name' => 'zero', 'roles' => []],
];

// password_hash('demo', PASSWORD_BCRYPT): every demo account has the password "demo".
const DEMO_HASH = '$2y$10$fsZE7wg6oXQ/bPtJvBZwL.j1wuhloXCbHo3algK/4EpFQ/vxx8Hi2';

function authenticate(string $name, string $password): ?array
{
    // Verified for unknown names too: the time an answer takes does not tell which names exist.
    $ok = password_verify($password, DEMO_HASH);
    return $ok ? ACCOUNTS[$name] ?? null : null;
}
