// java Trust.java CAFILE URL...: ask each, with the roots of the file; prints a JSON list of "ok" and errors.

import java.io.FileInputStream;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class Trust {
    public static void main(String[] arguments) throws Exception {
        KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
        roots.load(null, null);
        try (FileInputStream file = new FileInputStream(arguments[0])) {
            for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
                roots.setCertificateEntry("root " + roots.size(), root);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(roots);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
        ArrayList<String> said = new ArrayList<>();
        for (int i = 1; i < arguments.length; i++) {
            said.add('"' + attempt(arguments[i]).replace("\\", "/").replace("\"", "'").replace("\n", " ") + '"');
        }
        System.out.println(said);
    }

    static String attempt(String url) {
        try {
            HttpsURLConnection connection = (HttpsURLConnection) new URL(url).openConnection();
            try (var body = connection.getInputStream()) {
                String text = new String(body.readAllBytes());
                return text.equals("hello") ? "ok" : "another answer: " + text;
            }
        } catch (Exception error) {
            return error.toString();
        }
    }
}
