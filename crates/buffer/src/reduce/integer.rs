/// An integer key of at most 64 bits: those of the language, and pairs of 32 bits. Whatever has another key is reduced
/// by the `_hashed` methods.
pub trait Integer: sealed::Word {}

impl<K: sealed::Word> Integer for K {}

mod sealed {
    pub trait Word: Copy {
        /// Another word for another key, and in the same order.
        fn word(self) -> u64;
    }

    macro_rules! unsigned {
        ($($integer:ty)*) => {$(
            impl Word for $integer {
                #[inline(always)]
                fn word(self) -> u64 {
                    self as u64
                }
            }
        )*};
    }
    unsigned!(u8 u16 u32 u64 usize);

    macro_rules! signed {
        ($($integer:ty)*) => {$(
            impl Word for $integer {
                #[inline(always)]
                fn word(self) -> u64 {
                    (self as i64 as u64) ^ (1 << 63)
                }
            }
        )*};
    }
    signed!(i8 i16 i32 i64 isize);

    impl Word for (u32, u32) {
        #[inline(always)]
        fn word(self) -> u64 {
            u64::from(self.0) << 32 | u64::from(self.1)
        }
    }

    impl Word for (i32, i32) {
        #[inline(always)]
        fn word(self) -> u64 {
            const SIGN: u32 = 1 << 31;
            (self.0 as u32 ^ SIGN, self.1 as u32 ^ SIGN).word()
        }
    }
}
