<?php
// A plain PHP web application with a login, on PHP's own sessions in Redis. It knows nothing of
// the socket service.
//
//   php -S 127.0.0.1:8080 router.php      (port 0 picks a free one; PHP prints it on stderr)
//
// Settings come from the environment (BASE_PATH here, PHP_SAVE_PATH in session.php) and from ini
// flags, such as -d session.name=SID or -d session.serialize_handler=igbinary.
declare(strict_types=1);

require __DIR__ . '/accounts.php';
require __DIR__ . '/session.php';

// Errors go to the log. In an answer they would break the JSON and show internals.
ini_set('display_errors', '0');
ini_set('log_errors', '1');

set_exception_handler(function (Throwable $e): never {
    error_log(sprintf('%s in %s:%d', $e->getMessage(), $e->getFile(), $e->getLine()));
    if (session_status() === PHP_SESSION_ACTIVE) {
        session_abort();
    }
    header_remove('Set-Cookie'); // an outage must not replace the cookie of somebody who is logged in
    answer(500, ['error' => 'internal error']);
});

const ROUTES = [
    '/healthz' => ['GET', 'healthz'],
    '/login' => ['POST', 'login'],
    '/logout' => ['POST', 'logout'],
    '/me' => ['GET', 'me'],
];

function answer(int $status, array $body): never
{
    // The session is written before the answer leaves: a client that has the answer may open its
    // WebSocket at once.
    writeSession();
    http_response_code($status);
    header('Content-Type: application/json');
    header('Cache-Control: no-store');
    echo json_encode($body, JSON_THROW_ON_ERROR);
    exit;
}

/** The fields of a form or of a JSON object; a value that is no string counts as absent. */
function fields(): array
{
    $input = $_POST;
    if (str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
        $input = json_decode((string) file_get_contents('php://input'), true, 4);
        if (!is_array($input)) {
            answer(400, ['error' => 'the body is not a JSON object']);
        }
    }
    return array_filter($input, 'is_string');
}

function healthz(): never
{
    answer(200, ['status' => 'ok']);
}

function login(): never
{
    ['user' => $name, 'password' => $password] = fields() + ['user' => '', 'password' => ''];
    $account = authenticate($name, $password);
    if ($account === null) {
        answer(401, ['error' => 'wrong user or password']);
    }
    openSession();
    session_regenerate_id(true); // an id from before the login must not become a logged-in one
    $_SESSION['user_id'] = $account['id'];
    $_SESSION['name'] = $account['name'];
    $_SESSION['profile'] = ['roles' => $account['roles'], 'login' => ['at' => time(), 'via' => 'password']];
    answer(200, [
        'user' => (string) $account['id'],
        'name' => $account['name'],
        // For clients that name their session in a message instead of a cookie. It is as secret
        // as the cookie; leave it out where cookies do.
        'rediskey' => session_id(),
    ]);
}

function logout(): never
{
    if (hasSessionCookie()) {
        openSession();
        endSession();
    }
    answer(200, ['user' => null]);
}

function me(): never
{
    $user = null;
    if (hasSessionCookie()) { // a visitor without a session is given none
        openSession();
        $user = isset($_SESSION['user_id']) ? (string) $_SESSION['user_id'] : null;
    }
    answer(200, ['user' => $user]);
}

$path = explode('?', $_SERVER['REQUEST_URI'], 2)[0];
$base = (string) getenv('BASE_PATH');
$route = str_starts_with($path, $base) ? substr($path, strlen($base)) : '';
[$method, $handler] = ROUTES[$route] ?? answer(404, ['error' => 'not found']);
if ($_SERVER['REQUEST_METHOD'] !== $method) {
    header("Allow: $method");
    answer(405, ['error' => 'method not allowed']);
}
$handler();
