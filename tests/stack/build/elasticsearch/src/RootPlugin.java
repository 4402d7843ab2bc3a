import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.regex.Pattern;

import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.IndexVersion;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestRequest.Method;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/**
 * The little that Elastic's stripped distribution on Maven Central lacks and a log shipper's test needs:
 * GET and HEAD on "/" (in the full distribution: module rest-root), and the three analysis parts that x-pack-security
 * names in its own index, without which no API key can be made (in the full distribution: module analysis-common).
 */
public final class RootPlugin extends Plugin implements ActionPlugin, AnalysisPlugin {
    private volatile ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(Settings settings, NamedWriteableRegistry writeables,
            RestController rest, ClusterSettings clusterSettings, IndexScopedSettings indexSettings,
            SettingsFilter filter, IndexNameExpressionResolver resolver, Supplier<DiscoveryNodes> nodes,
            Predicate<NodeFeature> features) {
        return List.of(new Root());
    }

    private interface Filter {
        TokenStream over(TokenStream in);
    }

    private static TokenFilterFactory filter(String name, Filter filter) {
        return new TokenFilterFactory() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public TokenStream create(TokenStream in) {
                return filter.over(in);
            }
        };
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        AnalysisProvider<TokenFilterFactory> capture = AnalysisPlugin.requiresAnalysisSettings(
                (index, environment, name, settings) -> filter(name, in -> new PatternCaptureGroupTokenFilter(in,
                        settings.getAsBoolean("preserve_original", true),
                        settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new))));
        return Map.of("pattern_capture", capture,
                "unique", (index, environment, name, settings) -> filter(name, RemoveDuplicatesTokenFilter::new));
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (index, environment, name, settings) ->
                TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
    }

    private final class Root extends BaseRestHandler {
        @Override
        public String getName() {
            return "trackline_root";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(Method.GET, "/"), new Route(Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                var build = Build.current();
                var state = cluster.state();
                var out = channel.newBuilder().startObject();
                out.field("name", cluster.getNodeName());
                out.field("cluster_name", state.getClusterName().value());
                out.field("cluster_uuid", state.metadata().clusterUUID());
                out.startObject("version");
                out.field("number", build.qualifiedVersion());
                out.field("build_flavor", build.flavor());
                out.field("build_type", build.type().displayName());
                out.field("build_hash", build.hash());
                out.field("build_date", build.date());
                out.field("build_snapshot", build.isSnapshot());
                out.field("lucene_version", IndexVersion.current().luceneVersion().toString());
                out.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
                out.field("minimum_index_compatibility_version", build.minIndexCompatVersion());
                out.endObject();
                out.field("tagline", "You Know, for Search");
                channel.sendResponse(new RestResponse(RestStatus.OK, out.endObject()));
            };
        }
    }
}
