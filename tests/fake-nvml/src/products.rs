//! Facts of NVIDIA's products by their names, where a topology lacks them.

/// PCI's number for NVIDIA.
pub(crate) const NVIDIA: u32 = 0x10de;

pub(crate) struct Product {
    /// Source: NVIDIA, "CUDA GPU Compute Capability".
    pub(crate) capability: (i32, i32),
    /// The chip and the board. Source: the PCI ID Repository.
    pub(crate) device: u32,
    pub(crate) board: u32,
}

const PRODUCTS: &[(&str, Product)] = &[
    ("P100", Product { capability: (6, 0), device: 0x15f9, board: 0x116b }),
    ("V100", Product { capability: (7, 0), device: 0x1db1, board: 0x1212 }),
    ("A100", Product { capability: (8, 0), device: 0x20b2, board: 0x1463 }),
    ("A6000", Product { capability: (8, 6), device: 0x2230, board: 0x1459 }),
    ("L40", Product { capability: (8, 9), device: 0x26b9, board: 0x1851 }),
    ("GH200", Product { capability: (9, 0), device: 0x2342, board: 0x16eb }),
    ("H100", Product { capability: (9, 0), device: 0x2330, board: 0x16c1 }),
    ("H200", Product { capability: (9, 0), device: 0x2335, board: 0x18be }),
    ("GB200", Product { capability: (10, 0), device: 0x2941, board: 0x2046 }),
    ("B200", Product { capability: (10, 0), device: 0x2901, board: 0x1999 }),
];

/// A desktop card, GTX 980.
const OTHER: Product = Product { capability: (5, 2), device: 0x13c0, board: 0x1116 };

pub(crate) fn of(name: &str) -> &'static Product {
    PRODUCTS.iter().find(|(word, _)| name.contains(word)).map_or(&OTHER, |(_, product)| product)
}

impl Product {
    /// Returns whether it is for servers: desktop cards have no serial number on them.
    pub(crate) fn is_for_servers(&self) -> bool {
        self.device != OTHER.device
    }
}
