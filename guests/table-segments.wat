;; table-segments: proves that tables which grew, were filled, copied and emptied come back as they
;; were, and that passive segments are still there, or still dropped, after a restart.
;;
;; A table grows by one function a round; which function that is comes from a passive segment, a
;; copy within the table, or ref.func. All functions are called and compared with what is expected
;; of their place. Texts come out of passive data, which is dropped and not needed again.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; 0: iovec, 8: bytes written, 64: texts
  (data (i32.const 64) "differs: a place in the table\n")
  (data (i32.const 96) "ok table-segments\n")
  (data (i32.const 128) "100 rounds more\n")
  (data $once "the segment that is dropped\n")
  (data $always "0123456789abcdef")

  (type $function (func (param i32) (result i32)))
  (func $double (type $function) (i32.mul (local.get 0) (i32.const 2)))
  (func $triple (type $function) (i32.mul (local.get 0) (i32.const 3)))
  (func $plus_seven (type $function) (i32.add (local.get 0) (i32.const 7)))
  (func $inverse (type $function) (i32.xor (local.get 0) (i32.const -1)))

  (table $fixed 8 8 funcref)
  (table $growing 1 funcref)
  (elem (table $fixed) (i32.const 0) func $double $triple $plus_seven $inverse)
  (elem $passive func $inverse $plus_seven $triple $double)
  (elem $dropped func $double)

  (func $say (param $text i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 2)))))

  (func $same (param $got i32) (param $want i32)
    (if (i32.ne (local.get $got) (local.get $want))
      (then
        (call $say (i32.const 64) (i32.const 30))
        (call $proc_exit (i32.const 1)))))

  ;; What the function of place $at must give: the four functions in turn.
  (func $expected (param $at i32) (param $value i32) (result i32)
    (block $inverse (block $plus_seven (block $triple (block $double
      (br_table $double $triple $plus_seven $inverse
        (i32.and (local.get $at) (i32.const 3))))
      (return (i32.mul (local.get $value) (i32.const 2))))
      (return (i32.mul (local.get $value) (i32.const 3))))
      (return (i32.add (local.get $value) (i32.const 7))))
    (i32.xor (local.get $value) (i32.const -1)))

  ;; Puts the function that belongs to $at there, in one of three ways.
  (func $put (param $at i32)
    (block $by_copy (block $by_reference (block $by_segment
      (br_table $by_segment $by_reference $by_copy (i32.rem_u (local.get $at) (i32.const 3))))
      ;; The segment holds the functions in the opposite order.
      (table.init $growing $passive
        (local.get $at)
        (i32.sub (i32.const 3) (i32.and (local.get $at) (i32.const 3)))
        (i32.const 1))
      (return))
      (table.set $growing (local.get $at)
        (table.get $fixed (i32.and (local.get $at) (i32.const 3))))
      (return))
    (table.copy $growing $fixed
      (local.get $at) (i32.and (local.get $at) (i32.const 3)) (i32.const 1)))

  (func $check_all (param $value i32) (local $at i32)
    (loop $places
      (call $same
        (call_indirect $growing (type $function) (local.get $value) (local.get $at))
        (call $expected (local.get $at) (local.get $value)))
      (br_if $places
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1)))
          (table.size $growing)))))

  ;; The upper half of $fixed: emptied and filled again, by turns.
  (func $check_fixed (param $round i32)
    (if (i32.and (local.get $round) (i32.const 1))
      (then
        (call $same (ref.is_null (table.get $fixed (i32.const 4))) (i32.const 1))
        (call $same (ref.is_null (table.get $fixed (i32.const 7))) (i32.const 1))
        (table.fill $fixed (i32.const 4) (ref.func $triple) (i32.const 4)))
      (else
        (if (local.get $round)
          (then
            (call $same (call_indirect $fixed (type $function) (i32.const 5) (i32.const 6))
              (i32.const 15))))
        (table.fill $fixed (i32.const 4) (ref.null func) (i32.const 4)))))

  ;; Reads one letter of the passive data at a time, all the way to the end.
  (func $check_data (param $round i32) (local $at i32)
    (local.set $at (i32.and (local.get $round) (i32.const 15)))
    (memory.init $always (i32.const 200) (local.get $at) (i32.const 1))
    (call $same (i32.load8_u (i32.const 200))
      (i32.add (local.get $at)
        (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $at) (i32.const 10))))))

  (func (export "_start") (local $round i32)
    (memory.init $once (i32.const 160) (i32.const 0) (i32.const 28))
    (data.drop $once)
    (elem.drop $dropped)
    (call $say (i32.const 160) (i32.const 28))
    (call $put (i32.const 0))
    (loop $rounds
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (call $same (table.grow $growing (ref.null func) (i32.const 1)) (local.get $round))
      (call $same (ref.is_null (table.get $growing (local.get $round))) (i32.const 1))
      (call $put (local.get $round))
      (call $check_all (local.get $round))
      (call $check_fixed (i32.sub (local.get $round) (i32.const 1)))
      (call $check_data (local.get $round))
      ;; Nothing of a dropped segment can be used, but nothing is what one may ask of it.
      (memory.init $once (i32.const 160) (i32.const 0) (i32.const 0))
      (table.init $growing $dropped (i32.const 0) (i32.const 0) (i32.const 0))
      (if (i32.eqz (i32.rem_u (local.get $round) (i32.const 100)))
        (then (call $say (i32.const 128) (i32.const 16))))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 4000))))
    (call $same (table.size $growing) (i32.const 4001))
    (call $say (i32.const 96) (i32.const 18))))
