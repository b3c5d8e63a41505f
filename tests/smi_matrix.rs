//! smi_matrix
