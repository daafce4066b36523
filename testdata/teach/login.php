<?php
// A login on PHP's own sessions. All that can be set up wrong is left to php.ini.
//
//   php -d session.save_handler=redis -d session.save_path=tcp://… -S 127.0.0.1:0 login.php
declare(strict_types=1);

session_start();
if (isset($_GET['elsewhere'])) {
    $_SESSION['auth'] = ['user' => ['id' => 42]];
} else {
    $_SESSION['user_id'] = 42;
}
