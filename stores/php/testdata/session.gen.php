<?php
// Writes the session of the benchmarks in every format: php session.gen.php
$session = [
	'_token' => 'q7Zx0kT4mWc2Vb9sLr6YnE1hUj3GpDfA5oKiQwXe',
	'locale' => 'de_DE',
	'auth' => ['user' => ['id' => 4217, 'email' => 'anna.schmidt@example.org', 'name' => 'Anna Schmidt',
		'roles' => ['customer', 'editor'], 'verified' => true, 'last_login' => 1718028331.25]],
	'_flash' => ['old' => [], 'new' => ['status']],
	'status' => 'Profile updated.',
	'cart' => [
		['sku' => 'BK-1044', 'title' => 'Die Vermessung der Welt', 'qty' => 1, 'price' => 12.9],
		['sku' => 'BK-2210', 'title' => 'Momo', 'qty' => 2, 'price' => 9.99],
		['sku' => 'ST-0007', 'title' => 'Notizbuch, liniert', 'qty' => 5, 'price' => 3.5],
	],
	'_previous' => ['url' => 'https://shop.example.org/account/profile'],
	'viewed' => [1044, 2210, 7, 981, 1203, 55],
	'consent' => ['analytics' => false, 'maps' => true, 'at' => '2024-06-10T14:05:31+02:00'],
	'csp_nonce' => null,
];
ini_set('session.use_cookies', 0);
session_start();
foreach (['php', 'php_serialize', 'php_binary', 'igbinary', 'msgpack'] as $h) {
	session_abort();
	ini_set('session.serialize_handler', $h);
	session_start();
	$_SESSION = $session;
	file_put_contents(__DIR__ . "/session.$h", session_encode());
}
file_put_contents(__DIR__ . '/session.json', json_encode($session, JSON_UNESCAPED_SLASHES));
session_destroy();
