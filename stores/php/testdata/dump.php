<?php
// Answers each line "session handler base64" or "value handler base64" on its
// input with one line of JSON: whether PHP decodes the data, and what it is.
error_reporting(0);
function fail() { return ['ok' => false]; }
final class Dumper {
	private $oids = [], $refs = [];
	private function text(string $s, array $m, string $name): array {
		if (strlen($s) > 1000) { $m['len'] = strlen($s); $m['sha256'] = hash('sha256', $s); }
		elseif (preg_match('//u', $s)) $m[$name] = $s;
		else $m['b64'] = base64_encode($s);
		return $m;
	}
	function entries(array $a, int $d): array {
		$out = [];
		foreach ($a as $k => $v) {
			$e = ['k' => is_int($k) ? ['i' => (string)$k] : $this->text($k, [], 's')];
			$r = ReflectionReference::fromArrayElement($a, $k);
			if ($r) {
				$id = $r->getId();
				$seen = isset($this->refs[$id]);
				$e['ref'] = $this->refs[$id] ??= count($this->refs) + 1;
				if ($seen) { $e['seen'] = true; $out[] = $e; continue; }
			}
			$e["v"] = $this->value($v, $d + 1);
			$out[] = $e;
		}
		return $out;
	}
	function value($v, int $d = 0) {
		if ($d > 200) throw new Exception('deep');
		switch (true) {
		case $v === null: return ['t' => 'null'];
		case is_bool($v): return ['t' => 'bool', 'v' => $v];
		case is_int($v): return ['t' => 'int', 'v' => (string)$v];
		case is_float($v): return ['t' => 'float', 'bits' => bin2hex(pack('E', $v))];
		case is_string($v): return $this->text($v, ['t' => 'string'], 'v');
		case is_array($v): return ['t' => 'array', 'v' => $this->entries($v, $d)];
		}
		if ($v instanceof UnitEnum) return ['t' => 'enum', 'class' => get_class($v), 'case' => $v->name];
		$id = spl_object_id($v);
		if (isset($this->oids[$id])) return ['t' => 'object', 'oid' => $this->oids[$id], 'seen' => true];
		$this->oids[$id] = $oid = count($this->oids) + 1;
		$class = get_class($v);
		$a = (array)$v;
		if ($class === '__PHP_Incomplete_Class') {
			$class = $a['__PHP_Incomplete_Class_Name'] ?? $class;
			unset($a['__PHP_Incomplete_Class_Name']);
		}
		return $this->text($class, ['t' => 'object', 'oid' => $oid], 'class') + ['props' => $this->entries($a, $d)];
	}
}
ini_set('session.use_cookies', 0);
ini_set('session.cache_limiter', '');
ini_set('session.use_strict_mode', 0);
final class Mem implements SessionHandlerInterface {
	public $data = '';
	function open($p, $n): bool { return true; }
	function close(): bool { return true; }
	function read($id): string { return $this->data; }
	function write($id, $d): bool { return true; }
	function destroy($id): bool { return true; }
	function gc($n): int { return 0; }
}
enum Suit { case Hearts; case Spades; }
$mem = new Mem;
session_set_save_handler($mem, false);
while (($line = fgets(STDIN)) !== false) {
	[$mode, $h, $b64] = explode(' ', trim($line) . ' ');
	$data = base64_decode($b64);
	$out = fail();
	try {
		if ($mode === 'session') {
			ini_set('session.serialize_handler', $h);
			session_id('x');
			$mem->data = $data;
			$_SESSION = [];
			$ok = session_start();
			if ($ok) $out = is_array($_SESSION) ? ['ok' => true, 'typed' => (new Dumper)->entries($_SESSION, 0)] : ['ok' => true, 'one' => (new Dumper)->value($_SESSION)];
			session_abort();
		} else {
			error_clear_last();
			$v = match ($h) { 'php_serialize' => unserialize($data), 'igbinary' => igbinary_unserialize($data), 'msgpack' => msgpack_unpack($data) };
			$bad = error_get_last() && ($v === false || $v === null);
			if (!$bad) $out = ['ok' => true, 'one' => (new Dumper)->value($v)];
		}
	} catch (Throwable $e) {
		$out = $e->getMessage() === 'deep' ? ['skip' => true] : ['ok' => false, 'thrown' => get_class($e)];
		if (session_status() === PHP_SESSION_ACTIVE) session_abort();
	}
	$_SESSION = []; unset($v);
	echo json_encode($out, JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_UNESCAPED_UNICODE), "\n";
	flush();
}
