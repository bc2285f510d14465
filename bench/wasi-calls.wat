;; Measures calls of WASI from inside: how many nanoseconds of processor time each kind took, seven
;; numbers, u64, on stdout.
;;
;; In the directory of descriptor 3: "data" and "out", 8 MiB each, which are read and
;; written over; "many", a directory of many
;; entries. A call that fails ends the guest with 10 and the errno.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir"
    (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  ;; 0: results, 128: names, 192: an iovec, 200: what calls give back, 65536: data
  (memory (export "memory") 4)
  (data (i32.const 128) "data")
  (data (i32.const 136) "out")
  (data (i32.const 144) "many")

  (func $check (param $errno i32)
    (if (local.get $errno)
      (then (call $exit (i32.add (i32.const 10) (local.get $errno))))))

  ;; Processor time, so that other programs on the machine count less.
  (func $used (result i64)
    (call $check (call $clock (i32.const 2) (i64.const 0) (i32.const 200)))
    (i64.load (i32.const 200)))

  ;; flags of path_open, and the rights: reading and seeking, or writing too
  (func $file (param $name i32) (param $length i32) (param $flags i32) (param $rights i64) (result i32)
    (call $check
      (call $open (i32.const 3) (i32.const 0) (local.get $name) (local.get $length)
        (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 200)))
    (i32.load (i32.const 200)))

  ;; Reads, or writes, $count times $size bytes from the start of the file.
  (func $transfer (param $fd i32) (param $writes i32) (param $size i32) (param $count i32)
    (call $check (call $seek (local.get $fd) (i64.const 0) (i32.const 0) (i32.const 200)))
    (i32.store (i32.const 192) (i32.const 65536))
    (i32.store (i32.const 196) (local.get $size))
    (loop $again
      (if (local.get $writes)
        (then (call $check (call $write (local.get $fd) (i32.const 192) (i32.const 1) (i32.const 200))))
        (else (call $check (call $read (local.get $fd) (i32.const 192) (i32.const 1) (i32.const 200)))))
      (if (i32.ne (i32.load (i32.const 200)) (local.get $size)) (then (call $exit (i32.const 2))))
      (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

  (func $list (param $fd i32)
    (local $cookie i64) (local $at i32) (local $end i32)
    (loop $more
      (call $check
        (call $readdir (local.get $fd) (i32.const 65536) (i32.const 65536) (local.get $cookie)
          (i32.const 200)))
      (local.set $at (i32.const 65536))
      (local.set $end (i32.add (i32.const 65536) (i32.load (i32.const 200))))
      (block $cut
        (loop $entry
          (br_if $cut
            (i32.gt_u (i32.add (local.get $at) (i32.const 24)) (local.get $end)))
          (local.set $cookie (i64.load (local.get $at)))
          (local.set $at
            (i32.add (local.get $at)
              (i32.add (i32.const 24) (i32.load (i32.add (local.get $at) (i32.const 16))))))
          (br $entry)))
      (br_if $more (i32.eq (i32.load (i32.const 200)) (i32.const 65536)))))

  ;; The warm-up is a tenth of it.
  (func $measure (param $kind i32) (param $fd i32) (param $count i32)
    (local $left i32)
    (local.set $left (local.get $count))
    (if (i32.eq (local.get $kind) (i32.const 0))
      (then
        (loop $again
          (call $check (call $clock (i32.const 1) (i64.const 0) (i32.const 200)))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
    (if (i32.eq (local.get $kind) (i32.const 1))
      (then (call $transfer (local.get $fd) (i32.const 0) (i32.const 64) (local.get $count))))
    (if (i32.eq (local.get $kind) (i32.const 2))
      (then (call $transfer (local.get $fd) (i32.const 1) (i32.const 64) (local.get $count))))
    (if (i32.eq (local.get $kind) (i32.const 3))
      (then
        (loop $again
          (call $transfer (local.get $fd) (i32.const 0) (i32.const 65536) (i32.const 100))
          (br_if $again (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 100))) (i32.const 0))))))
    (if (i32.eq (local.get $kind) (i32.const 4))
      (then
        (loop $again
          (call $transfer (local.get $fd) (i32.const 1) (i32.const 65536) (i32.const 100))
          (br_if $again (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 100))) (i32.const 0))))))
    (if (i32.eq (local.get $kind) (i32.const 5))
      (then
        (loop $again
          (call $check
            (call $close (call $file (i32.const 128) (i32.const 4) (i32.const 0) (i64.const 6))))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
    (if (i32.eq (local.get $kind) (i32.const 6))
      (then
        (loop $again
          (call $list (local.get $fd))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))))

  (func $timed (param $kind i32) (param $fd i32) (param $count i32)
    (local $start i64)
    (call $measure (local.get $kind) (local.get $fd) (i32.add (i32.const 1) (i32.div_u (local.get $count) (i32.const 10))))
    (local.set $start (call $used))
    (call $measure (local.get $kind) (local.get $fd) (local.get $count))
    (i64.store (i32.shl (local.get $kind) (i32.const 3)) (i64.sub (call $used) (local.get $start))))

  (func (export "_start")
    (local $data i32) (local $out i32) (local $many i32)
    (local.set $data (call $file (i32.const 128) (i32.const 4) (i32.const 0) (i64.const 6)))
    (local.set $out (call $file (i32.const 136) (i32.const 3) (i32.const 1) (i64.const 70)))
    (local.set $many (call $file (i32.const 144) (i32.const 4) (i32.const 2) (i64.const 16386)))
    (call $timed (i32.const 0) (i32.const 0) (i32.const 1000000))
    (call $timed (i32.const 1) (local.get $data) (i32.const 100000))
    (call $timed (i32.const 2) (local.get $out) (i32.const 100000))
    (call $timed (i32.const 3) (local.get $data) (i32.const 3000))
    (call $timed (i32.const 4) (local.get $out) (i32.const 1000))
    (call $timed (i32.const 5) (i32.const 0) (i32.const 20000))
    (call $timed (i32.const 6) (local.get $many) (i32.const 3))
    (i32.store (i32.const 192) (i32.const 0))
    (i32.store (i32.const 196) (i32.const 56))
    (call $check (call $write (i32.const 1) (i32.const 192) (i32.const 1) (i32.const 200)))))
