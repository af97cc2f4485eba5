//! The part of zlib's C interface that `flate2` calls, under the crate name `libz-ng-sys`, answered by zlib-rs.
//!
//! `flate2` fills in a stream whose allocator fields are plain function pointers; zlib-rs declares them as
//! `Option`s of the same. The two structs have one layout (an `Option` of a function pointer is that pointer, with
//! null for `None`), so each function here only casts the stream pointer and passes the call on.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc, reason = "names and contracts are zlib's")]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use libz_rs_sys as zlib;

pub use libz_rs_sys::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH, Z_MEM_ERROR,
    Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR, Z_SYNC_FLUSH, zlibVersion,
};

pub type Bytef = u8;
pub type uInt = c_uint;
pub type uLong = c_ulong;
pub type voidpf = *mut c_void;
pub type alloc_func = unsafe extern "C" fn(voidpf, uInt, uInt) -> voidpf;
pub type free_func = unsafe extern "C" fn(voidpf, voidpf);
pub enum internal_state {}

#[repr(C)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: usize,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: usize,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: voidpf,
    pub data_type: c_int,
    pub adler: uLong,
    pub reserved: uLong,
}
pub type z_streamp = *mut z_stream;

const _: () = assert!(size_of::<z_stream>() == size_of::<zlib::z_stream>());
const _: () = assert!(core::mem::offset_of!(z_stream, zalloc) == core::mem::offset_of!(zlib::z_stream, zalloc));
const _: () = assert!(core::mem::offset_of!(z_stream, adler) == core::mem::offset_of!(zlib::z_stream, adler));

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name(stream: z_streamp, $($arg: $type),*) -> c_int {
            // SAFETY: the two structs have one layout (asserted above); the rest of the contract is the caller's.
            unsafe { zlib::$name(stream.cast(), $($arg),*) }
        }
    )*};
}

pass_on! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const Bytef, length: uInt);
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, memory_level: c_int, strategy: c_int, version: *const c_char, size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset();
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const Bytef, length: uInt);
    inflateInit2_(window_bits: c_int, version: *const c_char, size: c_int);
}
