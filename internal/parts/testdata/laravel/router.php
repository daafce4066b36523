<?php
// A login on Laravel's own middleware, session and guard, without the rest of an application. GET
// /login logs user 42 in, GET /logout out. APP_KEY, CIPHER, ENCRYPT and DRIVER are its settings.
declare(strict_types=1);

error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', '0');
require stream_resolve_include_path('Illuminate/autoload.php');

use Illuminate\Auth\GenericUser;
use Illuminate\Auth\SessionGuard;
use Illuminate\Config\Repository;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Auth\UserProvider;
use Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse;
use Illuminate\Cookie\Middleware\EncryptCookies;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Pipeline\Pipeline;
use Illuminate\Session\Middleware\StartSession;
use Illuminate\Support\Facades\Facade;

$redis = parse_url(getenv('REDIS_URL'));
$app = new Application(sys_get_temp_dir());
$app->instance('config', new Repository([
    'app' => ['key' => getenv('APP_KEY'), 'cipher' => getenv('CIPHER')],
    'cache' => [
        'default' => 'redis',
        'stores' => ['redis' => ['driver' => 'redis', 'connection' => 'cache']],
        'prefix' => 'laravel_cache',
    ],
    'database' => ['redis' => [
        'client' => 'phpredis',
        'options' => ['prefix' => 'laravel_database_'],
        'default' => ['host' => $redis['host'], 'port' => $redis['port'], 'database' => 0],
        'cache' => ['host' => $redis['host'], 'port' => $redis['port'], 'database' => 1],
    ]],
    'session' => [
        'driver' => getenv('DRIVER'), 'lifetime' => 120, 'expire_on_close' => false,
        'encrypt' => getenv('ENCRYPT') === '1', 'connection' => 'default', 'store' => null,
        'lottery' => [0, 100], 'cookie' => 'laravel_session', 'path' => '/', 'domain' => null,
        'secure' => false, 'http_only' => true, 'same_site' => 'lax',
    ],
]));
$app->instance('request', $request = Request::capture());
Facade::setFacadeApplication($app);
foreach ([
    Illuminate\Encryption\EncryptionServiceProvider::class, Illuminate\Cookie\CookieServiceProvider::class,
    Illuminate\Redis\RedisServiceProvider::class, Illuminate\Cache\CacheServiceProvider::class,
    Illuminate\Session\SessionServiceProvider::class,
] as $provider) {
    $app->register($provider);
}
$app->boot();

/** Users knows one user, 42. */
final class Users implements UserProvider
{
    public function retrieveById($id) { return $id == 42 ? new GenericUser(['id' => 42, 'password' => '', 'remember_token' => '']) : null; }
    public function retrieveByToken($id, $token) { return null; }
    public function updateRememberToken(Authenticatable $user, $token) {}
    public function retrieveByCredentials(array $credentials) { return null; }
    public function validateCredentials(Authenticatable $user, array $credentials) { return false; }
}

$response = (new Pipeline($app))->send($request)
    ->through([EncryptCookies::class, AddQueuedCookiesToResponse::class, StartSession::class])
    ->then(function (Request $request) use ($app) {
        $guard = new SessionGuard('web', new Users, $app['session']->driver(), $request);
        $guard->setCookieJar($app['cookie']);
        switch ($request->path()) {
            case 'login':
                $guard->loginUsingId(42);
                break;
            case 'logout':
                $guard->logout();
                $request->session()->invalidate();
                break;
        }
        return new Response((string) $guard->id());
    });
$response->send();
