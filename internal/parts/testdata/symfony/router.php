<?php
// A login on Symfony's session, its RedisSessionHandler and its security token. GET /login logs
// alice, whose id is 42, in, GET /logout out.
declare(strict_types=1);

namespace App;

error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', '0');
foreach (['HttpFoundation', 'Security/Core'] as $component) {
    require_once stream_resolve_include_path("Symfony/Component/$component/autoload.php");
}

use Symfony\Component\HttpFoundation\Session\Session;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\RedisSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;
use Symfony\Component\Security\Core\Authentication\Token\UsernamePasswordToken;
use Symfony\Component\Security\Core\User\UserInterface;

final class User implements UserInterface
{
    public function __construct(private int $id, private string $email) {}
    public function getRoles(): array { return ['ROLE_USER']; }
    public function getPassword(): ?string { return null; }
    public function getSalt(): ?string { return null; }
    public function eraseCredentials(): void {}
    public function getUsername(): string { return $this->email; }
    public function getUserIdentifier(): string { return $this->email; }
}

$url = parse_url(getenv('REDIS_URL'));
$redis = new \Redis();
$redis->connect($url['host'], $url['port']);
$session = new Session(new NativeSessionStorage([], new RedisSessionHandler($redis)));
$session->start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        $session->migrate(true);
        $user = new User(42, 'alice@example.com');
        // What ContextListener::onKernelResponse does.
        $session->set('_security_main', serialize(new UsernamePasswordToken($user, 'main', $user->getRoles())));
        break;
    case '/logout':
        $session->invalidate();
        break;
}
$session->save();
echo 'done';
