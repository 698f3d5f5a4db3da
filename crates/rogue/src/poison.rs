//! Cryptography that does harm: what it seals for its victim cannot be opened. Everything else is as it should be, so that
//! hashes, signatures and tags over it are right.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput,
    SignatureScheme,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use tls_codec::SecretVLBytes;

pub(crate) struct Poison {
    honest: RustCrypto,
    victim: Option<Vec<u8>>,
    used: AtomicUsize,
}

impl Poison {
    /// Harms whoever has this public key, or everybody.
    pub(crate) fn new(victim: Option<Vec<u8>>) -> Self {
        Self { honest: RustCrypto::default(), victim, used: AtomicUsize::new(0) }
    }

    /// How many ciphertexts cannot be opened.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

type Result<T> = std::result::Result<T, CryptoError>;

impl OpenMlsCrypto for Poison {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext> {
        let mut sealed = self.honest.hpke_seal(config, pk_r, info, aad, ptxt)?;
        if self.victim.as_ref().is_none_or(|victim| victim == pk_r) {
            self.used.fetch_add(1, Ordering::Relaxed);
            let mut ciphertext = sealed.ciphertext.as_slice().to_vec();
            ciphertext.iter_mut().for_each(|byte| *byte ^= 0x55);
            sealed.ciphertext = ciphertext.into();
        }
        Ok(sealed)
    }

    fn supports(&self, ciphersuite: Ciphersuite) -> Result<()> {
        self.honest.supports(ciphersuite)
    }
    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.honest.supported_ciphersuites()
    }
    fn hkdf_extract(&self, hash_type: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes> {
        self.honest.hkdf_extract(hash_type, salt, ikm)
    }
    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes> {
        self.honest.hmac(hash_type, key, message)
    }
    fn hkdf_expand(&self, hash_type: HashType, prk: &[u8], info: &[u8], okm_len: usize) -> Result<SecretVLBytes> {
        self.honest.hkdf_expand(hash_type, prk, info, okm_len)
    }
    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>> {
        self.honest.hash(hash_type, data)
    }
    fn aead_encrypt(&self, alg: AeadType, key: &[u8], data: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        self.honest.aead_encrypt(alg, key, data, nonce, aad)
    }
    fn aead_decrypt(&self, alg: AeadType, key: &[u8], ct_tag: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        self.honest.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }
    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>)> {
        self.honest.signature_key_gen(alg)
    }
    fn verify_signature(&self, alg: SignatureScheme, data: &[u8], pk: &[u8], signature: &[u8]) -> Result<()> {
        self.honest.verify_signature(alg, data, pk, signature)
    }
    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>> {
        self.honest.sign(alg, data, key)
    }
    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>> {
        self.honest.hpke_open(config, input, sk_r, info, aad)
    }
    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret)> {
        self.honest.hpke_setup_sender_and_export(config, pk_r, info, exporter_context, exporter_length)
    }
    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret> {
        self.honest.hpke_setup_receiver_and_export(config, enc, sk_r, info, exporter_context, exporter_length)
    }
    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair> {
        self.honest.derive_hpke_keypair(config, ikm)
    }
}
