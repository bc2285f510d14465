;; globals-and-start: proves that mutable globals of all number types come back bit by bit, and that
;; what a module does when it is made (data segments written, the start function run) is not done
;; again when a guest comes back.
;;
;; The start function counts how often it ran and overwrites a data segment. Globals are changed
;; in each round, and compared with locals that are changed alike.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; 0: iovec, 8: bytes written, 16: a number the start function overwrites, 24: starts, 64: texts
  (data (i32.const 16) "\01\00\00\00")
  (data (i32.const 64) "differs: a global\n")
  (data (i32.const 96) "ok globals-and-start\n")
  (data (i32.const 128) "100000 rounds more\n")

  (global $starts (mut i32) (i32.const 0))
  (global $small (mut i32) (i32.const 1))
  (global $large (mut i64) (i64.const 1))
  (global $single (mut f32) (f32.const nan:0x200001))
  (global $wide (mut f64) (f64.const -nan:0x4000000000001))
  (global $step i64 (i64.const 0x9e3779b97f4a7c15))

  (func $made
    (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 41)))
    (i32.store (i32.const 24) (i32.add (i32.load (i32.const 24)) (i32.const 1))))
  (start $made)

  (func $say (param $text i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 2)))))

  (func $same (param $got i64) (param $want i64)
    (if (i64.ne (local.get $got) (local.get $want))
      (then
        (call $say (i32.const 64) (i32.const 18))
        (call $proc_exit (i32.const 1)))))

  (func $change
    (global.set $small (i32.add (i32.mul (global.get $small) (i32.const 69069)) (i32.const 1)))
    (global.set $large
      (i64.mul (i64.xor (global.get $large) (i64.const 12345)) (global.get $step)))
    ;; The payloads of the NaNs change, so these are copies of bits and no arithmetic.
    (global.set $single
      (f32.reinterpret_i32
        (i32.or (i32.const 0x7f800001)
          (i32.shl (i32.and (global.get $small) (i32.const 0xffff)) (i32.const 4)))))
    (global.set $wide
      (f64.reinterpret_i64
        (i64.or (i64.const 0xfff0000000000001)
          (i64.shl (i64.and (global.get $large) (i64.const 0xffffffff)) (i64.const 8))))))

  (func (export "_start") (local $round i32) (local $small i32) (local $large i64)
    (local.set $small (i32.const 1))
    (local.set $large (i64.const 1))
    (call $same
      (i64.extend_i32_u (i32.reinterpret_f32 (global.get $single)))
      (i64.const 0x7fa00001))
    (call $same (i64.reinterpret_f64 (global.get $wide)) (i64.const 0xfff4000000000001))
    (loop $rounds
      (call $change)
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (if (i32.eqz (i32.rem_u (local.get $round) (i32.const 100000)))
        (then (call $say (i32.const 128) (i32.const 19))))
      (local.set $small (i32.add (i32.mul (local.get $small) (i32.const 69069)) (i32.const 1)))
      (local.set $large
        (i64.mul (i64.xor (local.get $large) (i64.const 12345)) (i64.const 0x9e3779b97f4a7c15)))
      (call $same (i64.extend_i32_u (global.get $small)) (i64.extend_i32_u (local.get $small)))
      (call $same (global.get $large) (local.get $large))
      (call $same (i64.extend_i32_u (i32.reinterpret_f32 (global.get $single)))
        (i64.extend_i32_u
          (i32.or (i32.const 0x7f800001)
            (i32.shl (i32.and (local.get $small) (i32.const 0xffff)) (i32.const 4)))))
      (call $same (i64.reinterpret_f64 (global.get $wide))
        (i64.or (i64.const 0xfff0000000000001)
          (i64.shl (i64.and (local.get $large) (i64.const 0xffffffff)) (i64.const 8))))
      (call $same (i64.extend_i32_u (global.get $starts)) (i64.const 1))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 2500000))))
    (call $same (i64.extend_i32_u (i32.load (i32.const 16))) (i64.const 42))
    (call $same (i64.extend_i32_u (i32.load (i32.const 24))) (i64.const 1))
    (call $say (i32.const 96) (i32.const 21))))
