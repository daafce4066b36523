<?php
// A login on Predis\Session\Handler. GET /login logs user 42 in, GET /logout out.
declare(strict_types=1);

ini_set('display_errors', '0');
require stream_resolve_include_path('php-nrk-predis/autoload.php') ?: 'Predis/autoload.php';

$client = new Predis\Client(getenv('REDIS_URL'), ['prefix' => 'sessions:']);
$handler = new Predis\Session\Handler($client);
// Old Predis has the interface's methods without types, which PHP 8 warns of.
error_reporting(E_ALL & ~E_DEPRECATED);
$handler->register();
session_start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        session_regenerate_id(true);
        $_SESSION['user_id'] = 42;
        break;
    case '/logout':
        session_destroy();
        break;
}
session_write_close();
echo 'done';
