<?php
// Laravel's logout without invalidate(): the session stays, the user goes. On Laravel's own store,
// guard and encrypter, with the cookie and the keys of its default configuration. GET /login logs
// user 42 in, GET /leave out. APP_KEY and REDIS_URL are its settings.
declare(strict_types=1);

error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', '0');
require stream_resolve_include_path('Illuminate/autoload.php');

use Illuminate\Auth\GenericUser;
use Illuminate\Auth\SessionGuard;
use Illuminate\Cache\RedisStore;
use Illuminate\Cache\Repository;
use Illuminate\Container\Container;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Auth\UserProvider;
use Illuminate\Cookie\CookieJar;
use Illuminate\Cookie\CookieValuePrefix;
use Illuminate\Encryption\Encrypter;
use Illuminate\Http\Request;
use Illuminate\Redis\RedisManager;
use Illuminate\Session\CacheBasedSessionHandler;
use Illuminate\Session\Store;

/** Users knows one user, 42. */
final class Users implements UserProvider
{
    public function retrieveById($id) { return $id == 42 ? new GenericUser(['id' => 42, 'password' => '', 'remember_token' => '']) : null; }
    public function retrieveByToken($id, $token) { return null; }
    public function updateRememberToken(Authenticatable $user, $token) {}
    public function retrieveByCredentials(array $credentials) { return null; }
    public function validateCredentials(Authenticatable $user, array $credentials) { return false; }
}

const COOKIE = 'laravel_session';
$encrypter = new Encrypter(base64_decode(substr(getenv('APP_KEY'), strlen('base64:'))), 'AES-256-CBC');
$prefix = CookieValuePrefix::create(COOKIE, $encrypter->getKey());
$id = isset($_COOKIE[COOKIE]) ? substr($encrypter->decrypt($_COOKIE[COOKIE], false), strlen($prefix)) : null;

$url = parse_url(getenv('REDIS_URL'));
$redis = new RedisManager(new Container, 'phpredis', [
    'options' => ['prefix' => 'laravel_database_'],
    'default' => ['host' => $url['host'], 'port' => $url['port'], 'database' => 0],
]);
$cache = new Repository(new RedisStore($redis, 'laravel_cache', 'default'));
$session = new Store(COOKIE, new CacheBasedSessionHandler($cache, 120), $id);
$session->start();

$guard = new SessionGuard('web', new Users, $session, Request::capture());
$guard->setCookieJar(new CookieJar);
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        $guard->loginUsingId(42);
        break;
    case '/leave':
        $guard->logout();
        break;
    default:
        http_response_code(404);
}
$session->save();
setcookie(COOKIE, $encrypter->encrypt($prefix . $session->getId(), false), ['path' => '/', 'httponly' => true]);
echo (string) $guard->id();
