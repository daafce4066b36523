<?php
declare(strict_types=1);

/** Starts or resumes the session. */
function openSession(): void
{
    // PHP_SAVE_PATH wins; without it, what php.ini or -d says of a Redis handler stands.
    $savePath = getenv('PHP_SAVE_PATH');
    if ($savePath !== false || ini_get('session.save_handler') !== 'redis') {
        ini_set('session.save_handler', 'redis');
        ini_set('session.save_path', $savePath ?: 'tcp://127.0.0.1:6379');
    }
    $started = session_start([
        'use_strict_mode' => 1, // ids that this application did not issue are not adopted
        'use_only_cookies' => 1,
    ] + cookieFlags('cookie_'));
    if (!$started) {
        throw new RuntimeException('the session could not be opened');
    }
}

/** Writes and closes the session, if one is open. */
function writeSession(): void
{
    if (session_status() !== PHP_SESSION_ACTIVE) {
        return;
    }
    error_clear_last();
    session_write_close(); // returns true even when the write failed with a warning
    if (error_get_last() !== null) {
        throw new RuntimeException('the session could not be written');
    }
}

/** Destroys the open session and tells the browser to drop the cookie. */
function endSession(): void
{
    $_SESSION = [];
    if (!session_destroy()) {
        throw new RuntimeException('the session could not be ended');
    }
    header_remove('Set-Cookie'); // session_start sets one when the id that came was unknown
    setcookie(session_name(), '', ['expires' => 1] + cookieFlags());
}

function hasSessionCookie(): bool
{
    return isset($_COOKIE[session_name()]);
}

function cookieFlags(string $prefix = ''): array
{
    return [
        $prefix . 'path' => '/', // beyond BASE_PATH: the socket's path must get the cookie too
        $prefix . 'httponly' => true,
        $prefix . 'samesite' => 'Lax',
        // The proxy in front overwrites this header. A client that forges it harms itself only.
        $prefix . 'secure' => ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https',
    ];
}
